demo: all | $(BUILD)/.packages-demo ## Let a bare virtual machine become a node (as root)
	@scripts/demo-run
.PHONY: demo
