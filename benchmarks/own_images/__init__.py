"""How much memory folders of many images take."""
