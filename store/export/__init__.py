"""The tape in files that others read: Parquet, CSV, JSON lines, SQLite, with a manifest.

tables ──▶ what is exported, with units      columnar ─┐
                                             sqlite   ─┴▶ a folder beside the target
manifest ──▶ counts, hashes, licences        write ──▶ put in place by one rename
"""
