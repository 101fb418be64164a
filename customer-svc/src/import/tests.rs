use feed_core::testing::TempStore;
use tempfile::TempDir;

use super::*;

const GEOS: &str =
    "geo,name,max_mbps,capacity_mbps\nberlin,Berlin,1000,50000\nparis,Paris,500,100\n";
const CUSTOMERS: &str =
    "customer_id,name,geo,current_mbps\nc-1,Ada,berlin,100\nc-2,Bob,atlantis,16\n";

struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Files(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn import(&self, geos: &str, customers: &str) -> Result<(), ImportError> {
        std::fs::write(self.path("geos.csv"), geos).unwrap();
        std::fs::write(self.path("customers.csv"), customers).unwrap();
        run(ImportSettings {
            database: self.path("store.db").display().to_string(),
            geos: Some(self.path("geos.csv")),
            customers: Some(self.path("customers.csv")),
        })
        .await
    }

    async fn events(&self) -> u64 {
        let database = self.path("store.db").display().to_string();
        let store = Store::open(&database, storage::MIGRATIONS).await.unwrap();
        let log = store.log(storage::FEED).unwrap();
        log.stats().await.unwrap().events
    }
}

#[tokio::test]
async fn an_import_done_again_changes_nothing() {
    let files = Files::new();
    files.import(GEOS, CUSTOMERS).await.unwrap();
    assert_eq!(files.events().await, 4);
    files.import(GEOS, CUSTOMERS).await.unwrap();
    assert_eq!(files.events().await, 4);
    let one_changed = CUSTOMERS.replace("Ada", "Ada L.");
    files.import(GEOS, &one_changed).await.unwrap();
    assert_eq!(files.events().await, 5);
}

#[tokio::test]
async fn what_is_wrong_is_named_with_file_and_line_and_nothing_is_done() {
    let files = Files::new();
    for (customers, line, named) in [
        (
            "customer_id,name,geo,current_mbps\nc-1,Ada,berlin,fast\n",
            2,
            "current_mbps",
        ),
        (
            "customer_id,name,geo,current_mbps\nc-1,Ada,berlin,1\nc 2,Bob,berlin,1\n",
            3,
            "customer_id",
        ),
        (
            "customer_id,name,geo,current_mbps\n\nc-1,Ada,Berlin,1\n",
            3,
            "geo",
        ),
        (
            "customer_id,name,geo,current_mbps\nc-1,Ada,berlin\n",
            2,
            "3 fields",
        ),
        ("customer_id,name,geo\nc-1,Ada,berlin\n", 2, "current_mbps"),
    ] {
        let error = files.import(GEOS, customers).await.unwrap_err().to_string();
        let place = format!("customers.csv, line {line}: ");
        assert!(error.contains(&place), "{error}");
        assert!(error.contains(named), "{error}");
    }
    assert!(!files.path("store.db").exists());
    let missing = run(ImportSettings {
        database: files.path("store.db").display().to_string(),
        geos: Some(files.path("none.csv")),
        customers: None,
    });
    let error = missing.await.unwrap_err().to_string();
    assert!(error.contains("none.csv"), "{error}");
}

#[test]
fn lines_are_counted_as_an_editor_does() {
    let files = Files::new();
    let path = files.path("customers.csv");
    let text = "customer_id,name,geo,current_mbps\r\n\r\nc-1,Ada,berlin,1\r\n\"c-2\",Bob,paris,1\r\n\n\nc-3,Cy,paris,1";
    std::fs::write(&path, text).unwrap();
    let rows = read::<CustomerRecord>(&path).unwrap().rows;
    let lines: Vec<u64> = rows.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 4, 7]);
}

#[tokio::test]
async fn large_files_are_stated_in_batches() {
    let store = TempStore::new(storage::MIGRATIONS).await;
    store
        .create_feed(storage::feed_config().unwrap())
        .await
        .unwrap();
    let files = Files::new();
    let mut text = "customer_id,name,geo,current_mbps\n".to_owned();
    let rows = 2 * ROWS_PER_WRITE_MAX + 1;
    for number in 0..rows {
        text += &format!("c-{number},Customer {number},berlin,100\n");
    }
    std::fs::write(files.path("customers.csv"), text).unwrap();
    let rows_read = read::<CustomerRecord>(&files.path("customers.csv")).unwrap();
    assert_eq!(state(&store, rows_read).await.unwrap(), (rows, rows));
}
