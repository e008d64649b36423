ISO ?= $(BUILD)/byoh.iso
ISO_FLAGS ?=

iso: | $(BUILD)/.packages-iso ## Make the bootable image ISO of RUN=X.run, its list signed with KEY=private.pem (as root)
	@[ -n "$(RUN)" ] && [ -n "$(KEY)" ] || { echo 'usage: make iso RUN=X.run KEY=private.pem' >&2; exit 2; }
	@iso/build --run "$(RUN)" --key "$(KEY)" --out "$(ISO)" $(ISO_FLAGS)
.PHONY: iso
