# Manual pages are written as they are installed: docs/man/NAME.SECTION
MAN_PAGES := $(wildcard docs/man/*.[1-8])

install: install-man
install-man:
	$(foreach page,$(MAN_PAGES),install -D -m 0644 $(page) \
		$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page))$(newline))
.PHONY: install-man
