#!/bin/sh
# protobuf 3.21 for python, in C++ (Debian 12): messages that are all freed, and the memory stays
# (protocolbuffers/protobuf #10088)
# right: nothing is lost, and nothing of it lives: glibc keeps the memory.
. "$(dirname "$0")/common.sh"
N=${1:-10000}
need python3 python3-protobuf protobuf-compiler
only python3-protobuf 3.21
cat >order.proto <<'P'
syntax = "proto2";
message Item { optional string name = 1; optional double price = 2; repeated string tags = 3; }
message Order { repeated Item items = 1; map<string, Item> extras = 2; }
P
protoc --python_out=. order.proto
cat >orders.py <<'P'
# Reads many orders, looks at them, drops them, and waits for more.
import gc, sys, time
import order_pb2
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4 >> 10
order = order_pb2.Order()
for i in range(50):
    item = order.items.add(name=f"item {i}", price=i)
    item.tags.extend(["red", "large", "new"])
    order.extras[f"extra {i}"].name = f"extra of {i}"
data = order.SerializeToString()
print(resident(), "MB at the start")
orders = [order_pb2.Order.FromString(data) for _ in range(int(sys.argv[1]))]
print(resident(), "MB with all orders")
del orders
gc.collect()
print(resident(), "MB without them")
time.sleep(1)
P
exec ${TOOL:-} /usr/bin/python3 orders.py "$N"
