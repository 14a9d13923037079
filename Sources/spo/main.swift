import CProcessor

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

// Runs before all this; the call makes it a part of the program.
spo_require_processor()
// Not `exit`, which waits for a thread of OpenBLAS, which waits for ever where `ulimit -v` leaves it no
// memory. All output is written by now.
_exit(Program.run(Array(CommandLine.arguments.dropFirst())))
