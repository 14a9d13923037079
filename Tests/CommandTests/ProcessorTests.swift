import CProcessor
import Foundation
import HostResources
import Testing

struct ProcessorTests {
  private static let emulator = "/usr/bin/qemu-x86_64"

  /// The emulator is Debian's package `qemu-user`.
  @Test(
    "on a processor that lacks what the program was built to use it says so",
    .enabled(
      if: FileManager.default.isExecutableFile(atPath: emulator)
        && KernelBuild.instructionSets.contains("avx")))
  func lacksInstructions() throws {
    // A processor of 2008, before AVX.
    let program = try Program(["--help"], emulator: [Self.emulator, "-cpu", "Nehalem"])
    let outcome = try program.outcome()
    #expect(outcome.exitCode == 1, "\(outcome)")
    #expect(outcome.failures.count == 1 && outcome.errors.contains("avx"), "\(outcome)")
    #expect(outcome.errors.contains("make build"))
  }

  #if arch(x86_64)
  private func names(_ sets: UInt64) -> [String] {
    (0..<Int32(spo_instruction_set_count)).filter { sets >> UInt64($0) & 1 == 1 }
      .map { String(cString: spo_instruction_set_name($0)) }
  }

  private func missing(
    of wanted: UInt64 = .max, words: [UInt32], state: UInt64 = .max
  ) -> [String] {
    names(spo_instruction_sets_missing(wanted, words, state))
  }

  private var wordCount: Int { Int(spo_processor_word_count) }

  @Test("each instruction set that the compiler may use has a bit of its own, which is checked")
  func instructionSets() {
    let all = [UInt32](repeating: .max, count: wordCount)
    #expect(missing(words: all).isEmpty)
    let none = missing(words: [UInt32](repeating: 0, count: wordCount))
    #expect(none.count == Int(spo_instruction_set_count))
    #expect(Set(none).count == none.count)
    // Where one bit is missing, one set is, or none.
    var found: [String] = []
    for word in 0..<wordCount {
      for bit in 0..<32 {
        var words = all
        words[word] ^= 1 << UInt32(bit)
        let lacking = missing(words: words)
        #expect(lacking.count <= 1)
        found += lacking
      }
    }
    #expect(Set(found) == Set(none) && found.count == none.count)
    #expect(missing(of: 0, words: [UInt32](repeating: 0, count: wordCount)).isEmpty)
  }

  @Test("registers that the system does not save are none")
  func unsavedRegisters() {
    let all = [UInt32](repeating: .max, count: wordCount)
    let narrow = missing(words: all, state: 0x7)
    #expect(narrow.contains("avx512f") && !narrow.contains("avx2") && !narrow.contains("bmi2"))
    #expect(missing(words: all, state: 0x3).contains("avx2"))
  }

  @Test("this processor has what this program was built for, by its own account and the system's")
  func thisProcessor() throws {
    var words = [UInt32](repeating: 0, count: wordCount)
    let state = spo_processor_words(&words)
    let built = spo_instruction_sets_built_for()
    #expect(missing(of: built, words: words, state: state).isEmpty)
    #expect(Set(names(built)).isSuperset(of: KernelBuild.instructionSets))
    let text = try String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)
    let flags = try #require(text.split(separator: "\n").first { $0.hasPrefix("flags") })
      .split(separator: " ")
    let lacking = Set(missing(words: words, state: state))
    // Linux says `pni` for SSE3, and does not list all that are newer than it.
    for name in names(.max) where flags.contains(Substring(name)) {
      #expect(!lacking.contains(name), "\(name)")
    }
  }
  #endif
}
