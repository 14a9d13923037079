import COpenBLAS

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

// Before any code that a lesser processor would stop at.
spo_require_processor()
// Not `exit`, which waits for a thread of OpenBLAS, which waits for ever where `ulimit -v` leaves it no
// memory. All output is written by now.
_exit(Program.run(Array(CommandLine.arguments.dropFirst())))
