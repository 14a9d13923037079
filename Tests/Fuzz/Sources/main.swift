import CFuzzer
import Foundation

// fuzz TARGET [CORPUS... -options of libFuzzer], or fuzz --list
//
// Every reader of files gets bytes of libFuzzer's invention. An error is a good answer; a trap, an access
// outside memory (with the address sanitizer), a hang or a gigabyte for a small file is a finding.

let targets: [FuzzTarget] =
  fileTargets + checkpointTargets + textTargets + tokenizerTargets + shardTargets
  + configurationTargets + partTargets

guard CommandLine.arguments.count > 1, CommandLine.arguments[1] != "--list" else {
  print(targets.map(\.name).joined(separator: "\n"))
  exit(0)
}
guard let target = targets.first(where: { $0.name == CommandLine.arguments[1] }) else {
  print("there is no target \(CommandLine.arguments[1]); fuzz --list names them")
  exit(2)
}
try Scratch.make()
atexit { Scratch.remove() }
Current.shared = Current(try target.prepare())

var count = CommandLine.argc - 1
var words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv + 1
exit(
  LLVMFuzzerRunDriver(&count, &words) { data, size in
    Current.shared?.run(UnsafeRawBufferPointer(start: data, count: size))
    return 0
  })
