import Files
import Telemetry
import TestSupport
import Testing

@Suite struct MetricsLogTests {
  private func text(_ path: String) throws -> String {
    String(decoding: try RegularFile(path: path).readAll(), as: UTF8.self)
  }

  private func values(_ loss: Double) throws -> JSON.Object {
    try #require((["loss": .number(loss)] as JSON).object)
  }

  @Test("one object a line, its step first")
  func lines() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/metrics.jsonl"
      let log = try MetricsLog(path: path)
      try log.append(step: 1, values(0.5))
      try log.append(step: 2, values(.nan))
      try log.sync()
      #expect(try text(path) == "{\"step\":1,\"loss\":0.5}\n{\"step\":2,\"loss\":null}\n")
      let lines = try MetricsLog.lines(of: path)
      #expect(lines.map { $0["step"] } == [1, 2])
      #expect(lines[0]["loss"] == 0.5)
    }
  }

  @Test("an interrupted and resumed run leaves the log of an uninterrupted one")
  func resuming() throws {
    try withTemporaryFolder { folder in
      func run(_ log: MetricsLog, _ steps: ClosedRange<Int>) throws {
        for step in steps {
          try log.append(step: step, values(1 / Double(step)))
          if step % 2 == 0 { try log.append(step: step, values(Double(step))) }
        }
      }
      let (whole, resumed) = ("\(folder)/whole.jsonl", "\(folder)/resumed.jsonl")
      try run(MetricsLog(path: whole), 1...10)
      for checkpoint in [0, 3, 4, 7] {
        try AtomicFile.replace(resumed, with: [])
        try run(MetricsLog(path: resumed), 1...8)
        let torn = try RegularFile(path: resumed).readAll() + Array("{\"step\":9,\"lo".utf8)
        try AtomicFile.replace(resumed, with: torn)
        try run(MetricsLog(path: resumed, resumingAfter: checkpoint), (checkpoint + 1)...10)
        #expect(try text(resumed) == text(whole))
      }
    }
  }

  @Test(
    "what a crash left at the end is cut off",
    arguments: [
      "{\"step\":2", "{\"step\":2}", "{\"step\":2,\u{0}\u{0}}\n", "\u{0}\u{0}\u{0}", "\n",
    ])
  func tornEnd(end: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/metrics.jsonl"
      try AtomicFile.replace(path, with: Array("{\"step\":1}\n\(end)".utf8))
      #expect(try MetricsLog.lines(of: path).count == 1)
      try MetricsLog(path: path).append(step: 2, JSON.Object())
      #expect(try text(path) == "{\"step\":1}\n{\"step\":2}\n")
    }
  }

  @Test("damage before the end is an error that names the line", arguments: ["x", "{}", "[1]", ""])
  func damage(line: String) throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/metrics.jsonl"
      let damaged = "{\"step\":1}\n\(line)\n{\"step\":3}\n"
      try AtomicFile.replace(path, with: Array(damaged.utf8))
      let error = #expect(throws: JSONError.self) { try MetricsLog(path: path) }
      #expect(error?.description.contains("metrics.jsonl, line 2") == true)
      #expect(try text(path) == damaged)
    }
  }
}
