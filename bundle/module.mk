# The silent library and the publisher's program over it. A new source file is found, not listed.
LIBRARIES += libbyoh-bundle
libbyoh-bundle.sources := $(wildcard bundle/*.c bundle/base/*.c bundle/fetch/*.c)

PROGRAMS += byoh-bundle
byoh-bundle.sources := $(wildcard bundle/cli/*.c)
byoh-bundle.libraries := libbyoh-bundle
byoh-bundle.bindir := bin
