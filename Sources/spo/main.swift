import CProcessor
import Files
import Glibc
import HostResources

// Runs before all this; the call makes it a part of the program.
spo_require_processor()
// A path that is not UTF-8 would be decoded to another one, and that file be worked on.
for (index, argument) in CommandLine.arguments.enumerated()
where CommandLine.unsafeArgv[index].flatMap({ String(validatingCString: $0) }) == nil {
  Console.complain("error: argument \(index) is not UTF-8: \(argument); rename the file or folder")
  _exit(2)
}
// Under `ulimit -v` there is nothing to be generous with.
if !MemoryLimit.isShellLimited { keepSmallBlocksTogether() }
// Not `exit`, which waits for a thread of OpenBLAS, which waits for ever where `ulimit -v` leaves it no
// memory. All output is written by now.
_exit(Program.run(Array(CommandLine.arguments.dropFirst())))
