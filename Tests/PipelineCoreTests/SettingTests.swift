import Files
import PipelineCore
import TestSupport
import Testing

@Suite struct SettingTests {
  @Test(
    "a value outside its range is refused with the setting, the range and the value",
    arguments: [
      ("count: -1", "count: must be 0 to 1000, but is -1"),
      ("count: 1001", "count: must be 0 to 1000, but is 1001"),
      (
        "count: 100000000000000000000",
        "count: must be an integer from 0 to 1000, but is 1e+20"
      ),
      ("factor: 1e300", "factor: must be -1000000 to 1000000, but is 1e+300"),
      ("rate: 0", "rate: must be above 0 and at most 0.5, but is 0"),
      ("rate: 1e300", "rate: must be above 0 and at most 0.5, but is 1e+300"),
      // Too small for a Float, which makes it 0.
      ("rate: 1e-60", "rate: must be above 0 and at most 0.5, but is 1e-60"),
      ("steps: [1, 100]", "steps[1]: must be at least 0 and below 100, but is 100"),
      (
        "steps: [true]",
        "steps[0]: must be an integer at least 0 and below 100, but is true"
      ),
      (
        "steps: 1",
        "steps: must be a list, each element an integer at least 0 and below 100, but is 1"
      ),
      ("last: 0", "last: must be 1 to 99, but is 0"),
      ("last: \"x\"", "last: must be an integer from 1 to 99 or null, but is \"x\""),
      ("last: 4", "last: must be below count (4), but is 4"),
      (
        "name: \"../x\"",
        "name: must be a file name of 1 to 100 letters, digits, dots, underscores and hyphens, not "
          + "starting with a dot, but is \"../x\""
      ),
      ("columns: \"x\"", "columns: must be an object whose values are strings, but is \"x\""),
    ])
  func refused(block: String, message: String) throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: { \(block) } }")
      let error = #expect(throws: PipelineError.self) { try toy.pipeline() }
      #expect(error?.description == "\(folder)/pipeline.json5: stages.multiply.\(message)")
    }
  }

  @Test(
    "a NUL, before which the system's calls would stop reading, is in no string of a setting",
    arguments: [
      ("stages: { multiply: { table: 'a\\u0000b' } }", "stages.multiply.table"),
      ("stages: { multiply: { note: '\\0' } }", "stages.multiply.note"),
      ("stages: { multiply: { mode: 'plain\\u0000' } }", "stages.multiply.mode"),
      ("stages: { multiply: { columns: { caption: '\\0' } } }", "stages.multiply.columns.caption"),
      ("stages: { multiply: { columns: { 'a\\0': 'x' } } }", "stages.multiply.columns"),
      ("device: 'cpu\\0', stages: { multiply: {} }", "device"),
      ("stages: { multiply: {} }, workspace: 'a\\0b'", "workspace"),
    ])
  func nul(body: String, key: String) throws {
    try withTemporaryFolder { folder throws in
      let path = "\(folder)/pipeline.json5"
      let root = body.contains("workspace") ? body : "workspace: 'w', \(body)"
      try AtomicFile.replace(path, with: Array("{ \(root) }".utf8))
      let error = #expect(throws: PipelineError.self) {
        try Pipeline(path: path, stages: toyStages)
      }
      #expect(error?.kind == .settings)
      let message = error?.description ?? ""
      #expect(message.hasPrefix("\(path): \(key): must not contain a NUL character"), "\(message)")
      #expect(!message.utf8.contains(0))
    }
  }

  @Test("nor in a workspace or a setting of the command line")
  func nulOverride() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      let error = #expect(throws: PipelineError.self) {
        try toy.pipeline("multiply.table=\"a\\u0000b\"")
      }
      #expect(error?.description.contains("must not contain a NUL character") == true)
      #expect(throws: PipelineError.self) {
        try Pipeline(path: "\(folder)/pipeline.json5", stages: toyStages, workspace: "a\0b")
      }
    }
  }

  @Test("the ends of ranges can be used, and null where the type has it")
  func boundaries() throws {
    try withTemporaryFolder { folder throws in
      for block in [
        "count: 0", "count: 1000", "rate: 0.5", "steps: []", "steps: [0, 99]", "last: null",
        "last: 1", "name: 'a.b-c_1'",
      ] {
        _ = try ToyRun(folder, "stages: { multiply: { \(block) } }").pipeline()
      }
    }
  }

  @Test("a shared setting is named where it stands")
  func shared() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "batch_size: 0, stages: { multiply: {} }")
      let error = #expect(throws: PipelineError.self) { try toy.pipeline() }
      #expect(
        error?.description == "\(folder)/pipeline.json5: batch_size: must be 1 to 64, but is 0")
    }
  }

  @Test("an override that no stage follows is an error; one that some follow is a note")
  func overruledOverrides() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(
        folder, "stages: { multiply: { factor: 2, seed: 2 }, join: {} }")
      let error = #expect(throws: PipelineError.self) { try toy.pipeline("factor=3") }
      #expect(
        error?.description
          == "--set factor=3: would change nothing: stage multiply has its own factor, 2.0; "
          + "write --set multiply.factor=3")
      #expect(
        try toy.pipeline("seed=3").notes == [
          "--set seed=3: stage multiply has its own seed, 2, which stays; "
            + "to change it, add --set multiply.seed=3"
        ])
      #expect(try toy.pipeline("seed=3", "multiply.seed=3").notes.isEmpty)
      #expect(try toy.pipeline("multiply.factor=3").notes.isEmpty)
    }
  }

  @Test("the pipeline's own settings have ranges, too")
  func pipelineSettings() throws {
    try withTemporaryFolder { folder throws in
      for (body, message) in [
        (
          "{ stages: {} }",
          "workspace: is missing: the folder for everything that the pipeline writes"
        ),
        (
          "{ workspace: '', stages: {} }",
          "workspace: must be a string that is not empty, but is \"\""
        ),
        (
          "{ workspace: 'x', threads: 'two', stages: {} }",
          "threads: must be an integer from 1 to 1024 or null, but is \"two\""
        ),
      ] {
        let path = "\(folder)/p.json5"
        try AtomicFile.replace(path, with: Array(body.utf8))
        let error = #expect(throws: PipelineError.self) {
          try Pipeline(path: path, stages: toyStages)
        }
        #expect(error?.description == "\(path): \(message)")
      }
    }
  }

  @Test("the reference lists type, default, range and sentence of each setting")
  func reference() throws {
    let reference = try SettingsReference(toyStages).only("multiply")
    let settings = try #require(reference.json["stages"]?[0]?["settings"])
    #expect(settings[7]?["name"] == "table")
    #expect(
      settings[9] == [
        "name": "rate", "type": "a number", "default": 0.1,
        "range": "above 0 and at most 0.5", "minimum": 0.0, "maximum": 0.5,
        "description": "How fast to learn.",
      ])
    #expect(reference.lines.contains("  mode = \"plain\"    \"plain\" or \"fancy\""))
    #expect(
      reference.markdown.contains(
        "| `last` | integer or null | `null` | 1 to 99 | The last number; null: none. |"))
  }
}
