# Two commands: `make demo` and `make test`. Everything they do is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check

help:   ## this list
	@sed -n 's/^\([a-z]*\): *## /\1\t/p' Makefile

setup:  ## install everything, check tools included
	@scripts/setup

demo:   ## the whole path on this machine; make demo ARGS="--seconds 60"
	@CUAO_STARTED_AT=$$(date +%s.%N) && export CUAO_STARTED_AT && scripts/setup demo && scripts/demo $(ARGS)

test:   ## every test; make test ARGS="tests/models -x"
	@scripts/test $(ARGS)

check:  ## format, lint, types, rules between rooms, Dockerfiles; in seconds
	@scripts/check
