# SPDX-License-Identifier: MIT
# The simulated battery on the real stack's air: what build/realstack-peer is made of.
PEER_SOURCES := \
	tests/realstack/peer.c \
	tests/realstack/peer_hci.c \
	tests/realstack/peer_att.c \
	tests/realstack/peer_gatt.c \
	tests/realstack/peer_commands.c \
	tests/sim/board.c \
	tests/sim/board_model.c \
	tests/sim/faults.c

# The hands of the cases inside the virtual machine.
AGENT_SOURCES := \
	tests/realstack/agent.c
