"""Reports on what speculation did."""
