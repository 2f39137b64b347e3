"""How examples come to the device that trains: they lie there, or travel while it computes."""
