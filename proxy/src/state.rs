//! The snapshot made ready to run: handles resolved, routes indexed.
