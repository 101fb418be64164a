//! `feedctl tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}
pub(crate) async fn run(
    _args: Args,
    _color: crate::output::ColorWhen,
) -> Result<(), crate::cli::CliError> {
    Ok(())
}
