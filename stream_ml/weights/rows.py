"""How rows lie in files and records: id (uint64), z and n (float32), little-endian; an id alone is a removal."""

ROW_BYTES = 16
ID_BYTES = 8
