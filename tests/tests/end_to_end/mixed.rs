//! One service on each store: neither knows on which the other one is.

use crate::crashes::lose_and_repeat_nothing;
use crate::databases::{On, Stores};

#[tokio::test]
async fn i07_i08_kills_lose_and_repeat_nothing_with_orders_on_sqlite() {
    lose_and_repeat_nothing(Stores {
        order: On::Sqlite,
        customer: On::Postgres,
    })
    .await;
}

#[tokio::test]
async fn i07_i08_kills_lose_and_repeat_nothing_with_customers_on_sqlite() {
    lose_and_repeat_nothing(Stores {
        order: On::Postgres,
        customer: On::Sqlite,
    })
    .await;
}
