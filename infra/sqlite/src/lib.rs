//! Event log, snapshots, ledger and read models in one SQLite file.
