//! TODO
pub(crate) async fn run(_cycles: u64) -> anyhow::Result<crate::report::Report> {
    anyhow::bail!("not yet")
}
