"""The generated code of the operator's side of the contract."""
