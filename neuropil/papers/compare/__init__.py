"""Pages of papers that compare models with brains."""
