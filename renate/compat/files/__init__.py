"""Config files of Renate's: Python modules that define `model_fn`, `data_module_fn` and others."""
