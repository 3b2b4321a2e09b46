#!/bin/bash -eu
exec bash -eu "$SRC/ksplat/ci/oss-fuzz/build.sh"
