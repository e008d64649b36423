# All but main() is a library, so that the unit tests link what the program runs.
LIBRARIES += libbyoh-install
libbyoh-install.sources := $(filter-out installer/main.c,$(wildcard installer/*.c installer/*/*.c))

PROGRAMS += byoh-install
byoh-install.sources := $(wildcard installer/main.c)
byoh-install.libraries := libbyoh-install libbyoh-bundle
byoh-install.bindir := sbin
