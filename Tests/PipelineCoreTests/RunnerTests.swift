import Files
import PipelineCore
import TestSupport
import Testing

struct RunnerTests {
  @Test("a second run finds every stage up to date and repeats the results")
  func upToDate() throws {
    try withToy { toy throws in
      let first = try toy.run()
      #expect(toy.reasons("multiply") == ["never run"])
      #expect(try toy.text("text") == "0.0 1.5 3.0 4.5")
      let result = RunEvent.result(
        stage: "multiply", text: "products are in \(toy.folder)/run/multiply")
      #expect(first.last == result)
      let second = try toy.run()
      #expect(second == [.upToDate(stage: "multiply"), .upToDate(stage: "join"), result])
    }
  }

  @Test("a changed setting is named, and runs its stage and those after it from the beginning")
  func changedSetting() throws {
    try withToy { toy throws in
      try toy.run()
      try toy.run("multiply.factor=2")
      #expect(toy.reasons("multiply") == ["setting factor: 1.5 -> 2.0"])
      #expect(toy.reasons("join") == ["the result of stage multiply changed"])
      #expect(try toy.text("text") == "0.0 2.0 4.0 6.0")
      try toy.run("multiply.factor=2", "join.separator=,")
      #expect(toy.reasons("multiply") == nil)
      #expect(toy.reasons("join") == ["setting separator: \" \" -> \",\""])
    }
  }

  @Test("a setting without effect runs nothing")
  func settingWithoutEffect() throws {
    try withToy { toy throws in
      try toy.run()
      try toy.run("multiply.batch_size=3")
      #expect(toy.reasons("multiply") == nil)
    }
  }

  @Test(
    "a result of a version without a setting stays, as long as the setting stands for what was done"
  )
  func newSetting() throws {
    try withToy { toy throws in
      try toy.run()
      let path = "\(toy.folder)/run/state/multiply.json"
      var record = try JSONReader(contentsOf: path).object()
      var settings = try #require(record["settings"]?.object)
      settings["rate"] = nil
      record["settings"] = .object(settings)
      record["check"] = nil
      record["check"] = .string(SHA256.hexDigest(of: Array(JSON.object(record).text().utf8)))
      try AtomicFile.replace(path, with: Array(JSON.object(record).text(.pretty).utf8))
      try toy.run()
      #expect(toy.reasons("multiply") == nil)
      try toy.run("multiply.rate=0.2")
      #expect(toy.reasons("multiply") != nil)
    }
  }

  @Test("an interrupted stage continues where it was, and ends as if never interrupted")
  func resume() throws {
    try withToy { toy throws in
      #expect(throws: Interruption(signal: 2)) { try toy.run("multiply.note=stop at 2") }
      let status = try toy.pipeline("multiply.note=stop at 2").status()
      #expect(status[0].state == .partial)
      #expect(status[0].reasons == ["2 of 4 done so far"])
      #expect(status[0].unitsDone == 2 && status[0].unitsTotal == 4)
      #expect(status[1].state == .missing)
      // Another note is another run; what was there is not used.
      try toy.run("multiply.note=go")
      #expect(toy.reasons("multiply") == ["setting note: \"stop at 2\" -> \"go\""])
    }
  }

  @Test("a run killed between any two commits continues from there")
  func killed() throws {
    try withToy { toy throws in
      #expect(throws: PipelineError.self) { try toy.run("multiply.note=fail at 3") }
      let before = try toy.text("state/multiply.json")
      #expect(before.contains("\"done\": false"))
      // As if the note had let it through: the same settings, and only the last item is left.
      try AtomicFile.replace("\(toy.folder)/run/multiply/.building/3", with: Array("by hand".utf8))
      let events = try toy.run("multiply.note=fail at 3")
      guard case .started("multiply", _, resumed: true)? = events.first else {
        Issue.record("not resumed: \(events)")
        return
      }
      #expect(try toy.text("text") == "0.0 1.5 3.0 by hand")
    }
  }

  @Test("a rejected item is recorded and counted, and the run continues")
  func rejections() throws {
    try withToy { toy throws in
      try toy.run("multiply.note=reject 1")
      #expect(try toy.text("text") == "0.0 rejected: odd 3.0 4.5")
      let status = try toy.pipeline("multiply.note=reject 1").status()
      #expect(status[0].rejections == ["odd": 1] && status[0].state == .done)
      #expect(status[0].json["rejects"] == 1)
    }
  }

  @Test("output that has gone is made again")
  func missingOutput() throws {
    try withToy { toy throws in
      try toy.run()
      try Folders.remove("\(toy.folder)/run/multiply/2")
      try toy.run()
      #expect(toy.reasons("multiply") == ["missing: \(toy.folder)/run/multiply/2"])
      #expect(toy.reasons("join") == nil)
      #expect(try toy.text("multiply/2") == "3.0")
    }
  }

  @Test("an input file is known by its content, not by its time")
  func inputFile() throws {
    try withToy { toy throws in
      let table = toy.folder + "/table"
      try AtomicFile.replace(table, with: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      try AtomicFile.replace(table, with: [1, 2, 3])
      try toy.run("multiply.table=\(table)")
      #expect(toy.reasons("multiply") == nil)
      try AtomicFile.replace(table, with: [1, 2, 4])
      try toy.run("multiply.table=\(table)")
      #expect(toy.reasons("multiply")?.count == 1)
      #expect(
        toy.reasons("multiply")?.first?.hasPrefix(
          "input \(table) differs from the one used before: 039058c6f2c0") == true)
    }
  }

  @Test("a forced stage starts over, and those after it need not")
  func forced() throws {
    try withToy { toy throws in
      try toy.run()
      try AtomicFile.replace("\(toy.folder)/run/multiply/2", with: Array("x".utf8))
      try toy.run(forced: ["multiply"])
      #expect(toy.reasons("multiply") == ["forced"])
      #expect(toy.reasons("join") == nil)
      #expect(try toy.text("multiply/2") == "3.0")
    }
  }

  @Test("a run ends after the stage it is asked for")
  func through() throws {
    try withToy { toy throws in
      try toy.run(through: "multiply")
      #expect(toy.reasons("multiply") != nil && toy.reasons("join") == nil)
      let error = #expect(throws: PipelineError.self) { try toy.run(through: "jion") }
      #expect(error?.description == "unknown stage \"jion\"; did you mean \"join\"?")
    }
  }

  @Test("a pipeline whose input nobody makes is refused before any work")
  func noProducer() throws {
    try withToy { toy throws in
      try toy.write("stages: { join: {} }")
      #expect(throws: PipelineError.noProducer(stage: "join", artifact: "products")) {
        try toy.run()
      }
    }
  }

  @Test("a workspace has one writer at a time")
  func lock() throws {
    try withToy { toy throws in
      let workspace = Workspace(path: toy.folder + "/run")
      let lock = try WorkspaceLock(workspace)
      let error = #expect(throws: PipelineError.self) { try toy.run() }
      #expect(error?.description.contains("/run: in use by process ") == true)
      withExtendedLifetime(lock) {}
    }
  }

  @Test("a record that was tampered with is an error that says what to do")
  func damagedRecord() throws {
    try withToy { toy throws in
      try toy.run()
      let path = toy.folder + "/run/state/multiply.json"
      try AtomicFile.replace(path, with: Array("{\"done\": 1".utf8))
      let error = #expect(throws: PipelineError.self) { try toy.run() }
      #expect(error?.description.hasPrefix("\(path): damaged: ") == true)
    }
  }

  @Test("too many rejects end a run, one does only where none is allowed")
  func rejectLimit() throws {
    try checkRejections(stage: "ingest", rejected: 1, of: 8, limit: 0.01)
    for (rejected, total, limit) in [(1, 8, 0), (2, 8, 0.01), (8, 24, 0.01)] {
      #expect(throws: PipelineError.self) {
        try checkRejections(stage: "ingest", rejected: rejected, of: total, limit: limit)
      }
    }
    try checkRejections(stage: "ingest", rejected: 110, of: 11_000, limit: 0.01)
    #expect(throws: PipelineError.self) {
      try checkRejections(stage: "ingest", rejected: 111, of: 11_000, limit: 0.01)
    }
  }

  private func withToy(_ body: (ToyRun) throws -> Void) throws {
    try withTemporaryFolder { try body(ToyRun($0, "stages: { multiply: {}, join: {} }")) }
  }
}
