"""Links by which somebody without an account reads: made and revoked (`manage`, `by_operator`), followed (`follow`)."""
