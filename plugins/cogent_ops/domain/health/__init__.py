"""How healthy the connection is: pure judgements over what was counted and measured."""
