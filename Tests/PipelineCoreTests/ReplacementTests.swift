import Files
import Foundation
import PipelineCore
import TestSupport
import Testing

/// The contents of a workspace belong to the user, or to a stage whose record says so.
struct ReplacementTests {
  private let manager = FileManager.default

  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { try body(ToyRun($0, "stages: { multiply: {}, join: {} }")) }
  }

  private func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "no error"
  }

  @Test("a finished result stays until the new one is complete, and continues from there")
  func stays() throws {
    try withToy { toy throws in
      try toy.run()
      let stop = ["multiply.factor=2", "multiply.note=stop at 2"]
      #expect(throws: Interruption.self) { try toy.run(stop[0], stop[1]) }
      #expect(try toy.text("multiply/1") == "1.5")
      #expect(try toy.text("multiply/.building/1") == "2.0")
      let status = try toy.pipeline(stop[0], stop[1]).status()[0]
      #expect(status.state == .partial && status.unitsDone == 2)
      #expect(status.replaced == ["multiply/0", "multiply/1", "multiply/2", "multiply/3"])
      // Back to the old settings: what was begun is dropped, what was done counts.
      try toy.run()
      #expect(toy.reasons("multiply") == nil && toy.reasons("join") == nil)
      #expect(!Folders.exists(toy.folder + "/run/multiply/.building"))
      try toy.run("multiply.factor=2")
      #expect(try toy.text("multiply/1") == "2.0")
      #expect(!Folders.exists(toy.folder + "/run/multiply/.building"))
    }
  }

  @Test("files that the new result lacks are removed, and only those that the record lists")
  func fewer() throws {
    try withToy { toy throws in
      try toy.write("stages: { multiply: { count: 6 } }")
      try toy.run()
      try toy.put("multiply/mine.txt", "mine")
      try toy.run("multiply.count=4")
      #expect(
        try Folders.names(in: toy.folder + "/run/multiply") == ["0", "1", "2", "3", "mine.txt"])
      #expect(try toy.text("multiply/mine.txt") == "mine")
    }
  }

  @Test(
    "what lies at the place of a stage that never ran is refused by name and left",
    arguments: [
      "multiply/mine.txt", "multiply", "text", "multiply/deep/er", "multiply/.building/0",
    ])
  func foreign(name: String) throws {
    try withToy { toy throws in
      try toy.put(name, "mine")
      let message = message { try toy.run() }
      #expect(message.hasPrefix("\(toy.folder)/run/\(name): stage "), "\(message)")
      #expect(message.contains("move it away or choose another workspace"))
      #expect(try toy.text(name) == "mine")
      #expect(!Folders.exists(toy.folder + "/run/state/multiply.json"))
    }
  }

  @Test(
    "what lies where a changed result would be, or would be made, is refused before any work",
    arguments: ["multiply/4", "multiply/.building/4", "multiply/.building/mine.txt"])
  func occupied(name: String) throws {
    try withToy { toy throws in
      try toy.run()
      try toy.put(name, "mine")
      // If there is nothing to do, nothing is in the way.
      try toy.run()
      for overrides in [["multiply.count=5"], ["multiply.count=5", "multiply.factor=2"]] {
        let message = message {
          try toy.run(overrides[0], overrides.last ?? "")
        }
        #expect(message.hasPrefix("\(toy.folder)/run/\(name): stage multiply would write here"))
        #expect(toy.events.isEmpty)
      }
      #expect(try toy.text(name) == "mine" && toy.text("multiply/3") == "4.5")
      try manager.removeItem(atPath: "\(toy.folder)/run/\(name)")
      try toy.run("multiply.count=5")
      #expect(try toy.text("multiply/4") == "6.0")
    }
  }

  @Test("what came to lie where a new file belongs is not overwritten; the result waits")
  func occupiedMeanwhile() throws {
    try withToy { toy throws in
      try toy.run()
      let message = message {
        try Runner(try toy.pipeline("multiply.count=5")) { event in
          if case .started = event { try? toy.put("multiply/4", "mine") }
        }.run()
      }
      #expect(message.hasPrefix("\(toy.folder)/run/multiply/4: stage multiply has a new file"))
      #expect(try toy.text("multiply/4") == "mine" && toy.text("multiply/3") == "4.5")
      try manager.removeItem(atPath: toy.folder + "/run/multiply/4")
      toy.stop = 4
      // Nothing is done again.
      try toy.run("multiply.count=5")
      #expect(try toy.text("multiply/4") == "6.0")
    }
  }

  @Test("a folder or file that is a symbolic link is followed and kept")
  func links() throws {
    try withToy { toy throws in
      let elsewhere = toy.folder + "/disk"
      try manager.createDirectory(
        atPath: elsewhere + "/lost+found", withIntermediateDirectories: true)
      try manager.createDirectory(atPath: toy.folder + "/run", withIntermediateDirectories: true)
      try manager.createSymbolicLink(
        atPath: toy.folder + "/run/multiply", withDestinationPath: elsewhere)
      for factor in ["1.5", "2"] {
        try toy.run("multiply.factor=\(factor)")
        let attributes = try manager.attributesOfItem(atPath: toy.folder + "/run/multiply")
        #expect(attributes[.type] as? FileAttributeType == .typeSymbolicLink)
        #expect(try Folders.names(in: elsewhere) == ["0", "1", "2", "3", "lost+found"])
      }
      // A single file, moved by the user and linked.
      try manager.moveItem(atPath: toy.folder + "/run/text", toPath: elsewhere + "/text")
      try manager.createSymbolicLink(
        atPath: toy.folder + "/run/text", withDestinationPath: elsewhere + "/text")
      try toy.run("multiply.factor=3")
      #expect(
        try manager.destinationOfSymbolicLink(atPath: toy.folder + "/run/text")
          == elsewhere + "/text")
      #expect(try toy.text("text") == "0.0 3.0 6.0 9.0")
    }
  }

  @Test("a link to nothing is refused")
  func danglingLink() throws {
    try withToy { toy throws in
      try manager.createDirectory(atPath: toy.folder + "/run", withIntermediateDirectories: true)
      try manager.createSymbolicLink(
        atPath: toy.folder + "/run/multiply", withDestinationPath: toy.folder + "/gone")
      #expect(
        message { try toy.run() }.contains("a symbolic link to something else or a broken one"))
    }
  }

  @Test("killed while a result is put in its place, the next run completes it", arguments: 0..<6)
  func killedInReplacement(moved: Int) throws {
    try withToy { toy throws in
      try toy.write("stages: { multiply: { count: 6 }, join: {} }")
      try toy.run()
      // A folder stands in the way of one file after the other: those before it are moved. It comes when the
      // run has begun, which would refuse it before.
      try toy.write("stages: { multiply: { count: 6, factor: 2 }, join: {} }")
      let blocked = "\(toy.folder)/run/multiply/\(moved)"
      #expect(throws: (any Error).self) {
        try Runner(try toy.pipeline()) { event in
          guard case .started = event else { return }
          try? manager.removeItem(atPath: blocked)
          try? manager.createDirectory(atPath: blocked + "/x", withIntermediateDirectories: true)
        }.run()
      }
      for item in 0..<6 where item != moved {
        #expect(try toy.text("multiply/\(item)") == "\((item < moved ? 2 : 1.5) * Double(item))")
      }
      #expect(
        try toy.pipeline().status()[0].reasons.first
          == "complete; the next run moves it into place")
      try manager.removeItem(atPath: blocked)
      try toy.run()
      #expect(toy.reasons("multiply") == nil)
      #expect(try toy.text("text") == "0.0 2.0 4.0 6.0")
      #expect(try Folders.names(in: toy.folder + "/run/multiply").count == 6)
    }
  }

  @Test("temporary files of this program's pattern are gone after the next run, others stay")
  func leftovers() throws {
    try withToy { toy throws in
      try toy.run()
      let random = "00112233445566aa"
      let ours = [
        "multiply/1.tmp.\(random)", "multiply/1.tmp.77", "multiply/.building.tmp.\(random)/1",
        "multiply/.building/9.tmp.\(random)",
        "multiply/checkpoints/step-000003.tmp.\(random)/x",
        "multiply/checkpoints/step-000003.replaced.tmp.\(random)/x",
        "state/join.json.tmp.123", "state/digests.json.tmp.\(random)",
        "text.tmp.4", "text.tmp.\(random)", "text.building.tmp.\(random)",
      ]
      let theirs = [
        "multiply/notes.tmp.txt", "notes.tmp.\(random)", "multiply/my.tmp.123",
        "multiply/x.tmp.\(random)", "multiply/pictures/a.tmp.1", "multiply/10.tmp.5",
        "multiply/checkpoints/step-3.tmp.\(random)", "multiply/checkpoints/mine.tmp.1",
        "state/x.tmp.123", "text.mine.tmp.4", "texts.tmp.\(random)",
      ]
      for name in ours + theirs { try toy.put(name, "x") }
      try toy.run()
      for name in ours { #expect(!Folders.exists(toy.folder + "/run/\(name)"), "\(name)") }
      for name in theirs { #expect(try toy.text(name) == "x") }
    }
  }

  /// Turns the record of a finished stage into what the first version of the program would have written.
  ///
  /// - Parameter upstream: the fingerprints of the stages that it read
  /// - Returns: its own
  @discardableResult
  private func writeAsEarlier(
    _ stage: String, _ toy: ToyRun, inputs: [String: String] = [:], upstream: [String: String] = [:]
  ) throws -> String {
    let path = toy.folder + "/run/state/\(stage).json"
    var record = try #require(try JSON(contentsOf: path).object)
    for key in ["phase", "check", "result", "next", "foreign"] { record[key] = nil }
    func object(_ texts: [String: String]) -> JSON.Object {
      texts.sorted { $0.key < $1.key }.reduce(into: JSON.Object()) {
        $0[$1.key] = .string($1.value)
      }
    }
    record["inputs"] = .object(object(inputs))
    record["upstream"] = .object(object(upstream))
    try AtomicFile.replace(path, with: Array(JSON.object(record).text().utf8))
    let settings = try #require(record["settings"]?.object)
    func sorted(_ object: JSON.Object) -> JSON {
      var result = JSON.Object()
      for (key, value) in object.sorted(by: { $0.0 < $1.0 }) {
        result[key] = value.object.map(sorted) ?? value
      }
      return .object(result)
    }
    let content: JSON = [
      "version": 1, "settings": sorted(settings),
      "inputs": .array(
        inputs.sorted { $0.key < $1.key }.map { [.string($0.key), .string($0.value)] }),
      "upstream": .object(object(upstream)),
    ]
    return SHA256.hexDigest(of: Array(content.text().utf8))
  }

  @Test(
    "what the first version made stays as far as nothing has changed, beside what it did not list")
  func earlierVersion() throws {
    try withToy { toy throws in
      let table = toy.folder + "/table"
      try AtomicFile.replace(table, with: [1, 2, 3])
      let digest = SHA256.hexDigest(of: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      let fingerprint = try writeAsEarlier("multiply", toy, inputs: [table: digest])
      try writeAsEarlier("join", toy, upstream: ["multiply": fingerprint])
      try toy.put("multiply/7", "old")
      #expect(try toy.pipeline("multiply.table=\(table)").status()[0].state == .stale)
      try toy.run("multiply.table=\(table)")
      #expect(toy.reasons("multiply") == nil && toy.reasons("join") == nil)
      #expect(
        try toy.pipeline("multiply.table=\(table)").status().map(\.state) == [.done, .done])
      #expect(try toy.pipeline("multiply.table=\(table)").verify().flatMap(\.problems) == [])
      try toy.run("multiply.table=\(table)", "multiply.factor=2")
      #expect(toy.reasons("multiply") == ["setting factor: 1.5 -> 2.0"])
      #expect(try toy.text("multiply/1") == "2.0" && toy.text("multiply/7") == "old")
    }
  }

  @Test("what the first version made of something else is made again, and why is said")
  func changedSinceEarlierVersion() throws {
    try withToy { toy throws in
      let table = toy.folder + "/table"
      try AtomicFile.replace(table, with: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      try writeAsEarlier("multiply", toy, inputs: [table: SHA256.hexDigest(of: [4])])
      // Of another making of the products.
      try writeAsEarlier("join", toy, upstream: ["multiply": String(repeating: "0", count: 64)])
      try toy.run("multiply.table=\(table)")
      let reason = try #require(toy.reasons("multiply")?.first)
      #expect(reason.hasPrefix("input \(table) differs from the one used before: "), "\(reason)")
      #expect(toy.reasons("join") == ["the result of stage multiply changed"])
    }
  }
}
