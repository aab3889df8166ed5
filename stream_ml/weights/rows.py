"""How rows lie in files and records: id (uint64), z, n (float32), little-endian; a removal is an id alone."""

ROW_BYTES = 16
ID_BYTES = 8
