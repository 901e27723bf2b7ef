"""The files of a database: Chroma, the journal, the exact index, the audit log."""
