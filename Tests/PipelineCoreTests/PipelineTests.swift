import Files
import PipelineCore
import TestSupport
import Testing

struct PipelineTests {
  @Test("a file names only what differs from the defaults")
  func overlay() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(
        folder,
        """
        seed: 18446744073709551615, // shared
        stages: { join: {}, multiply: { factor: 2, limits: { max_reject_fraction: 0.5 },
          columns: { jpgLeft: "left" }, mode: "fancy" } },
        """)
      let pipeline = try toy.pipeline()
      #expect(pipeline.stages.map(\.name) == ["multiply", "join"])
      #expect(
        pipeline.stages[0].settings == [
          "count": 4, "factor": 2.0, "seed": .unsigned(.max), "note": nil, "mode": "fancy",
          "limits": ["max_reject_fraction": 0.5],
          "columns": ["caption": "caption", "jpgLeft": "left"], "batch_size": 8, "table": "",
          "steps": [1, 2], "rate": 0.1, "last": nil, "name": "products",
        ])
      #expect(pipeline.stages[1].settings == ["separator": " ", "seed": .unsigned(.max)])
    }
  }

  @Test("a stage's own block wins over what is shared, and --set over both")
  func precedence() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "seed: 1, stages: { multiply: { seed: 2 }, join: {} }")
      func seeds(_ pipeline: Pipeline) -> [JSON?] { pipeline.stages.map { $0.settings["seed"] } }
      #expect(try seeds(toy.pipeline()) == [2, 1])
      #expect(try seeds(toy.pipeline("seed=3")) == [2, 3])
      #expect(try seeds(toy.pipeline("multiply.seed=4")) == [4, 1])
      let words = try toy.pipeline("multiply.note=two words", "multiply.limits={}")
      #expect(words.stages[0].settings["note"] == "two words")
      #expect(words.stages[0].settings["limits"]?["max_reject_fraction"] == 0.01)
    }
  }

  @Test(
    "what is wrong in a pipeline file is named with its path",
    arguments: [
      (
        "stages: { multiply: { facter: 2 } }",
        "stages.multiply.facter: unknown setting; did you mean \"factor\"?"
      ),
      (
        "stages: { multiply: { limits: { reject_fraction: 2 } } }",
        "stages.multiply.limits.reject_fraction: unknown setting; "
          + "did you mean \"max_reject_fraction\"?"
      ),
      (
        "stages: { multiply: { count: \"many\" } }",
        "stages.multiply.count: must be an integer from 0 to 1000, but is \"many\""
      ),
      (
        "stages: { multiply: { count: 1.5 } }",
        "stages.multiply.count: must be an integer from 0 to 1000, but is 1.5"
      ),
      (
        "stages: { multiply: { mode: \"plai\" } }",
        "stages.multiply.mode: must be \"plain\" or \"fancy\", but is \"plai\"; "
          + "did you mean \"plain\"?"
      ),
      (
        "stages: { multiply: { columns: { caption: 1 } } }",
        "stages.multiply.columns.caption: must be a string, but is 1"
      ),
      (
        "stages: { multiply: { limits: null } }",
        "stages.multiply.limits: must be an object, but is null"
      ),
      ("stages: { multiply: 3 }", "stages.multiply: must be an object, but is an integer"),
      (
        "sede: 1, stages: { multiply: {} }",
        "sede: unknown setting; did you mean \"seed\"?"
      ),
      ("stages: {}", "stages: lists no stage; available: multiply, join"),
      ("threads: 0, stages: {}", "threads: must be 1 to 1024, but is 0"),
    ])
  func errors(body: String, message: String) throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, body)
      let error = #expect(throws: PipelineError.self) { try toy.pipeline() }
      #expect(error?.description == "\(folder)/pipeline.json5: \(message)")
    }
  }

  @Test("an unknown stage and a senseless override are refused")
  func refusals() throws {
    try withTemporaryFolder { folder throws in
      let toy = try ToyRun(folder, "stages: { multiply: {} }")
      #expect(
        throws: PipelineError.unknownStage(
          name: "multply", nearest: "multiply", known: ["multiply", "join"])
      ) { try toy.pipeline("multply.count=1") }
      for override in ["count", "=1", "multiply.=1"] {
        #expect(throws: PipelineError.badOverride(override)) { try toy.pipeline(override) }
      }
      let absent = #expect(throws: PipelineError.self) { try toy.pipeline("join.seed=1") }
      #expect(
        absent?.description == "--set join.seed=1: the pipeline has no stage \"join\"")
    }
  }

  @Test("the nearest name is found within a third of its letters")
  func nearestName() {
    let names = ["learning_rate", "batch_size", "seed"]
    #expect(nearest(to: "learningrate", in: names) == "learning_rate")
    #expect(nearest(to: "bacth_size", in: names) == "batch_size")
    #expect(nearest(to: "sed", in: names) == "seed")
    #expect(nearest(to: "colour", in: names) == nil)
    #expect(nearest(to: "", in: []) == nil)
  }
}
