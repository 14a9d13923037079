import CProcessor
import Files
import Glibc
import HostResources

// Runs before main; this call links it in.
spo_require_processor()
// A path that is not UTF-8 would be decoded to another path, which would then be used.
for (index, argument) in CommandLine.arguments.enumerated()
where CommandLine.unsafeArgv[index].flatMap({ String(validatingCString: $0) }) == nil {
  Console.complain("error: argument \(index) is not UTF-8: \(argument); rename the file or folder")
  _exit(2)
}
// With `ulimit -v` memory is too tight for this.
if !MemoryLimit.isShellLimited { keepSmallBlocksTogether() }
// Not `exit`, which waits for an OpenBLAS thread that hangs if `ulimit -v` leaves it no memory. All
// output is written by now.
_exit(Program.run(Array(CommandLine.arguments.dropFirst())))
