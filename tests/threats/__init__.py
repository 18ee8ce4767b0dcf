"""One file a threat. A package, so that its `conftest` and that of the host's tests are not two modules of one name."""
