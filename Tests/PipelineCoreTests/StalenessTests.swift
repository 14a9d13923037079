import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// Stages run again where content has changed, and nowhere else.
struct StalenessTests {
  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { try body(ToyRun($0, "stages: { multiply: {}, join: {} }")) }
  }

  @Test("an input that is touched, copied, moved, linked or spelled otherwise changes nothing")
  func sameContent() throws {
    try withToy { toy throws in
      let manager = FileManager.default
      let table = toy.folder + "/table"
      try AtomicFile.replace(table, with: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      try manager.setAttributes([.modificationDate: Date()], ofItemAtPath: table)
      try manager.copyItem(atPath: table, toPath: toy.folder + "/copy")
      try manager.createSymbolicLink(
        atPath: toy.folder + "/link", withDestinationPath: table)
      for path in [table, "copy", "link", "./table", "../\(toy.name)/table"].map({
        $0.hasPrefix("/") ? $0 : "\(toy.folder)/\($0)"
      }) {
        #expect(
          try toy.pipeline("multiply.table=\(path)").status().map(\.state) == [.done, .done])
        try toy.run("multiply.table=\(path)")
        #expect(toy.reasons("multiply") == nil, "\(path)")
      }
      // Looking at results requires no inputs.
      try manager.moveItem(atPath: table, toPath: table + ".away")
      let status = try toy.pipeline("multiply.table=\(table)").status()
      #expect(status.map(\.state) == [.done, .done])
      #expect(status[0].reasons.contains { $0.contains("multiply.table: \(table) does not exist") })
      #expect(try toy.pipeline("multiply.table=\(table)").collectGarbage(isDry: true).isEmpty)
      let error = #expect(throws: PipelineError.self) { try toy.run("multiply.table=\(table)") }
      #expect(error == .missingInput(setting: "multiply.table", path: table))
      let found = try toy.pipeline("multiply.table=\(table)").verify().flatMap(\.problems)
      #expect(found == ["\(PipelineError.missingInput(setting: "multiply.table", path: table))"])
      try manager.moveItem(atPath: table + ".away", toPath: table)
      try AtomicFile.replace(table, with: [1, 2, 4])
      #expect(try toy.pipeline("multiply.table=\(table)").status()[0].state == .stale)
    }
  }

  @Test("a bit that changes while the time of modification is kept is noticed")
  func keptTime() throws {
    try withToy { toy throws in
      let table = toy.folder + "/table"
      try AtomicFile.replace(table, with: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      try flipBit(of: table)
      try toy.run("multiply.table=\(table)")
      #expect(
        toy.reasons("multiply")?.first?.hasPrefix(
          "input \(table) differs from the one used before: ") == true)
    }
  }

  @Test("a stage whose result comes out the same stops there")
  func cutOff() throws {
    try withToy { toy throws in
      try toy.run()
      let status = try toy.pipeline("multiply.seed=7").status()
      #expect(status.map(\.state) == [.stale, .stale])
      #expect(
        status[1].reasons == [
          "stage multiply runs first; this one reruns only if that changes its inputs"
        ])
      try toy.run("multiply.seed=7")
      #expect(toy.reasons("multiply") == ["setting seed: 42 -> 7"])
      #expect(toy.reasons("join") == nil)
      #expect(toy.events.contains(.upToDate(stage: "join")))
      try toy.run("multiply.seed=7", "multiply.factor=3")
      #expect(toy.reasons("join") == ["the result of stage multiply changed"])
    }
  }

  @Test("digests that were tampered with are not believed")
  func tamperedDigests() throws {
    try withToy { toy throws in
      let table = toy.folder + "/table"
      try AtomicFile.replace(table, with: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      let path = toy.folder + "/run/state/digests.json"
      let text = String(decoding: try RegularFile(path: path).readAll(), as: UTF8.self)
      let changed = text.replacingOccurrences(of: "039058c6f2c0", with: "139058c6f2c0")
      #expect(changed != text)
      try AtomicFile.replace(path, with: Array(changed.utf8))
      try toy.run("multiply.table=\(table)")
      #expect(toy.reasons("multiply") == nil)
    }
  }
}
