import Files
import Foundation
import TestSupport
import Testing

/// Parts of stages as engines run them.
@Suite(.serialized) struct PartsTests {
  @Test("the index comes from the engine's variable, which is named, and is refused out of range")
  func variables() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      func part(_ variable: String, _ value: String) throws -> Outcome {
        try run.program("ingest", "--partition", "auto/2", environment: [variable: value]).outcome()
      }
      for (variable, value) in [("SLURM_ARRAY_TASK_ID", "0"), ("JOB_COMPLETION_INDEX", "2")] {
        expect(try part(variable, value), failsAs: .usage, naming: variable, value)
      }
      #expect(!FileManager.default.fileExists(atPath: run.workspace))
      for (variable, value) in [("SLURM_ARRAY_TASK_ID", "2"), ("JOB_COMPLETION_INDEX", "0")] {
        let outcome = try part(variable, value)
        expectSuccess(outcome)
        #expect(outcome.errors.contains("from \(variable)"))
      }
      #expect(names(run.path("parts/ingest")) == ["1-of-2.part", "2-of-2.part"])
      expectSuccess(try run.run("--through", "ingest", "--merge"))
    }
  }

  @Test("a gap is refused and named; a stage that is not done is named; a whole stage has no parts")
  func refusals() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      expect(
        try run.run("--through", "encode", "--partition", "1/2"), failsAs: .other,
        naming: "stage ingest is not done", "--through ingest")
      expect(
        try run.run("--through", "spo", "--partition", "1/2"), failsAs: .usage,
        naming: "stage spo cannot be divided into parts", "encode")
      expectSuccess(try run.run("--through", "ingest"))
      let before = try everything(in: run.workspace)
      expect(
        try run.run("--through", "encode", "--merge"), failsAs: .other, naming: "no part has run")
      #expect(try everything(in: run.workspace) == before)
      expectSuccess(try run.run("--through", "encode", "--partition", "1/4"))
      let begun = try everything(in: run.workspace)
      for scratch in [[], ["--scratch", "\(folder)/scratch"]] {
        expect(
          try run.program("encode", ["--merge"] + scratch).outcome(), failsAs: .other,
          naming: "items of stage encode are missing", "--array=2-4")
      }
      #expect(try everything(in: run.workspace) == begun)
      for (scratch, word) in [("", "empty"), (run.path("catalog.sqlite"), "not a folder")] {
        expect(
          try run.run("--through", "encode", "--merge", "--scratch", scratch), failsAs: .usage,
          naming: "--scratch", word)
      }
      expect(
        try run.run("--through", "encode", "--merge", "--set", "encode.batch=3"), failsAs: .other,
        naming: "1-of-4.part", "setting batch: 8 -> 3")
      for index in 2...4 {
        expectSuccess(try run.run("--through", "encode", "--partition", "\(index)/4"))
      }
      expectSuccess(
        try run.run("--through", "encode", "--partition", "1/2", "--set", "encode.batch=3"))
      let status = try spo("status", SmallRun.pipeline, "--workspace", run.workspace).output
      #expect(
        status.contains(
          "parts/encode/1-of-2.part: made with different settings or inputs; remove it"))
      #expect(!status.contains("all complete: run with --merge"))

      // Something else under a part's name.
      let other = run.path("parts/encode/1-of-2.part")
      try FileManager.default.removeItem(atPath: other)
      try FileManager.default.createDirectory(atPath: other, withIntermediateDirectories: false)
      #expect(
        try spo("status", SmallRun.pipeline, "--workspace", run.workspace).output.contains(
          "\(other): not a regular file; move it away"))
      expect(
        try run.run("--through", "encode", "--merge"), failsAs: .input, naming: other,
        "move it away")
    }
  }

  @Test("what killed merges leave is removed by the next")
  func leftovers() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      expectSuccess(try run.run("--through", "ingest"))
      expectSuccess(try run.run("--through", "encode", "--partition", "1/1"))
      let part = run.path("parts/encode/1-of-1.part")
      let kept = try Data(contentsOf: URL(fileURLWithPath: part))
      let scratch = "\(folder)/scratch"
      let merge = ["--merge", "--scratch", scratch]
      expectSuccess(try run.program("encode", merge).outcome())
      #expect(try FileManager.default.contentsOfDirectory(atPath: scratch).isEmpty)

      // Killed after its result was noted: the parts are still there.
      try FileManager.default.createDirectory(
        atPath: run.path("parts/encode"), withIntermediateDirectories: true)
      try kept.write(to: URL(fileURLWithPath: part))
      // Killed while a database was on its way.
      let copy = run.path(TemporaryName.beside("cache.sqlite"))
      try Data([1]).write(to: URL(fileURLWithPath: copy))
      expectSuccess(try run.program("encode", merge).outcome())
      #expect(!FileManager.default.fileExists(atPath: run.path("parts")))
      #expect(!FileManager.default.fileExists(atPath: copy))
    }
  }

  /// The bytes of all files, but of the knowledge about inputs.
  private func everything(in workspace: String) throws -> [String: Data] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: workspace).filter {
      !["state/digests.json", "lock", "lock.owner"].contains($0)
    }
    return Dictionary(
      uniqueKeysWithValues: names.map {
        ($0, FileManager.default.contents(atPath: "\(workspace)/\($0)") ?? Data())
      })
  }

  @Test("SIGTERM ends a part with 143, SIGKILL at any moment; the same command continues")
  func signals() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      expectSuccess(try run.run("--through", "ingest"))
      let options = ["--partition", "1/1", "--set", "encode.batch=1"]
      func begin() throws -> Program { try run.program("encode", options) }
      let parts = run.path("parts/encode")
      func byteCount() throws -> Int {
        try names(parts).reduce(0) {
          try $0 + RegularFile(path: "\(parts)/\($1)").size
        }
      }
      var before = 0
      for number in 0..<6 {
        let program = try begin()
        try program.wait { try byteCount() > before + 6_000 }
        if number == 0 {
          program.terminate()
          let outcome = try program.outcome()
          #expect(outcome.exitCode == 143, "\(outcome)")
        } else {
          program.die()
        }
        before = try byteCount()
      }
      expectSuccess(try begin().outcome())
      // A try that finds the part complete would make no file: none of the signals came too late.
      #expect(names(parts).count == 7)
      expectSuccess(try run.run("--through", "encode", "--merge", "--set", "encode.batch=1"))
      expectSuccess(try run.run("--through", "shard", "--set", "encode.batch=1"))
      let whole = SmallRun(in: folder + "/whole")
      expectSuccess(try whole.run("--through", "shard", "--set", "encode.batch=1"))
      #expect(try run.bytes("shards/index.json") == whole.bytes("shards/index.json"))
    }
  }

  @Test("prompts in parts at a time: images are those of one process, and evaluate compares them")
  func prompts() throws {
    try withTemporaryFolder { folder in
      let list = "\(folder)/prompts.txt"
      try "a red circle\na blue square\na green star\n".write(
        toFile: list, atomically: true, encoding: .utf8)
      let sample = [
        "sample", "--model", "data/tiny-sd", "--prompts", list, "--steps", "2", "--out",
      ]
      let evaluate = [
        "evaluate", "--model", "data/tiny-sd", "--prompts", list, "--steps", "2", "--scorer",
        "clip=\(fixturePath("scorers/clip-hf"))", "--out",
      ]
      for (words, name) in [(sample, "samples"), (evaluate, "evaluation")] {
        expectSuccess(try Program(words + ["\(folder)/whole-\(name)"]).outcome())
        let programs = try (0..<2).map {
          try Program(
            words + ["\(folder)/\(name)", "--partition", "auto/2"],
            environment: ["JOB_COMPLETION_INDEX": "\($0)"])
        }
        for program in programs {
          let outcome = try program.outcome()
          expectSuccess(outcome)
          #expect(outcome.errors.contains("/2, from JOB_COMPLETION_INDEX"))
        }
        let half = words + ["\(folder)/half-\(name)"]
        expectSuccess(try Program(half + ["--partition", "1/2"]).outcome())
        expect(
          try Program(half + ["--merge"]).outcome(), failsAs: .other,
          naming: "1 of 3 prompts is missing: 1, counted from 0")
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/\(name)/index.html"))
        #expect(
          try files("\(folder)/half-\(name)").count == (name == "samples" ? 5 : 4))
        let merge = try Program(words + ["\(folder)/\(name)", "--merge"]).outcome()
        expectSuccess(merge)
        if name == "samples" {
          #expect(merge.errors.contains("3 images of 3 prompts: nothing to generate"))
        } else {
          expect(
            try Program(words + ["\(folder)/\(name)", "--merge", "--seed", "1"]).outcome(),
            failsAs: .other, naming: "images of another model or setting are there")
          // An image that is not the one that was scored.
          let all = try FileManager.default.subpathsOfDirectory(atPath: "\(folder)/\(name)")
          let image = try #require(all.first { $0.hasSuffix("00001/0000.png") })
          let (mine, others) = (
            "\(folder)/\(name)/\(image)",
            "\(folder)/\(name)/\(image.replacing("00001/0000", with: "00002/0000"))"
          )
          let own = try Data(contentsOf: URL(fileURLWithPath: mine))
          try Data(contentsOf: URL(fileURLWithPath: others)).write(
            to: URL(fileURLWithPath: mine))
          expect(
            try Program(words + ["\(folder)/\(name)", "--merge"]).outcome(), failsAs: .input,
            naming: "00001.json", "without --merge")
          try own.write(to: URL(fileURLWithPath: mine))
          // A score that is not the one that was written.
          let scores = try #require(all.first { $0.hasSuffix("00001.json") })
          let path = "\(folder)/\(name)/\(scores)"
          let text = try String(contentsOfFile: path, encoding: .utf8)
          try text.replacing("\"scores\":[", with: "\"scores\":[1").write(
            toFile: path, atomically: true, encoding: .utf8)
          expect(
            try Program(words + ["\(folder)/\(name)", "--merge"]).outcome(), failsAs: .input,
            naming: "00001.json")
          expectSuccess(try Program(words + ["\(folder)/\(name)"]).outcome())
          #expect(try String(contentsOfFile: path, encoding: .utf8) == text)
        }
        expectSuccess(try Program(words + ["\(folder)/\(name)"]).outcome())
        #expect(try files("\(folder)/\(name)") == files("\(folder)/whole-\(name)"))
      }
      expect(
        try spo(
          "sample", "--model", "data/tiny-sd", "--prompt", "x", "--out", "x.png",
          "--partition", "1/2"), failsAs: .usage, naming: "--partition", "--prompts")
      expect(
        try Program(evaluate + ["\(folder)/x", "--partition", "3/2"]).outcome(), failsAs: .usage,
        naming: "--partition 3/2", "1 to 2")
      for words in [sample, evaluate] {
        expect(
          try Program(words + ["\(folder)/x"], environment: ["PMI_SIZE": "2", "PMI_RANK": "1"])
            .outcome(), failsAs: .usage, naming: "2 processes", "--partition auto/2")
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/x"))
      }
      expect(
        try Program(evaluate + ["\(folder)/x", "--partition", "1/2", "--json"]).outcome(),
        failsAs: .usage, naming: "--json")
    }
  }

  @Test("a preference model whose images parts have made is that of one process")
  func preference() throws {
    try withTemporaryFolder { folder in
      let (whole, parts) = (SmallRun(in: "\(folder)/whole"), SmallRun(in: "\(folder)/parts"))
      for run in [whole, parts] { expectSuccess(try run.run("--through", "shard")) }
      expectSuccess(try whole.run("--through", "preference"))
      func preference(_ arguments: String...) throws -> Outcome {
        try parts.program("preference", arguments).outcome()
      }
      for index in [3, 1] { expectSuccess(try preference("--partition", "\(index)/3")) }
      #expect(!FileManager.default.fileExists(atPath: parts.path("preference")))
      expect(try preference("--merge"), failsAs: .other, naming: "auto/3", "--array=2")
      expectSuccess(try preference("--partition", "2/3"))
      expectSuccess(try preference("--merge"))
      let files = ["model/model.safetensors", "metrics.jsonl", "evaluation.json"]
      for file in files {
        #expect(try parts.bytes("preference/\(file)") == whole.bytes("preference/\(file)"))
      }
      #expect(!FileManager.default.fileExists(atPath: parts.path("parts")))
      expect(
        try preference(
          "--partition", "1/2", "--set", "preference.kind=latent", "--set", "preference.start="),
        failsAs: .other, naming: "no items to divide")
    }
  }

  @Test("a report whose images parts have drawn is that of one process")
  func report() throws {
    try withTemporaryFolder { folder in
      func finished(_ name: String) throws -> SmallRun {
        try FileManager.default.createDirectory(
          atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        return try SmallRun.finished(in: "\(folder)/\(name)")
      }
      let (whole, parts) = (try finished("whole"), try finished("parts"))
      let change = ["--set", "report.sampling_steps=3", "--quiet"]
      expectSuccess(try whole.program("report", change).outcome())
      func report(_ arguments: String...) throws -> Outcome {
        try parts.program("report", change + arguments).outcome()
      }
      let before = try parts.bytes("report/index.html")
      for index in [3, 1] { expectSuccess(try report("--partition", "\(index)/3")) }
      expect(try report("--merge"), failsAs: .other, naming: "auto/3", "--array=2")
      #expect(try parts.bytes("report/index.html") == before)
      expectSuccess(try report("--partition", "2/3"))
      expectSuccess(try report("--merge"))
      let images = try files(whole.path("report/pictures"))
      #expect(!images.isEmpty)
      #expect(try files(parts.path("report/pictures")) == images)
      func oracle(_ run: SmallRun) throws -> JSON {
        try JSONReader(contentsOf: run.path("report/summary.json"))["oracle"].value
      }
      #expect(try oracle(parts) == oracle(whole))
      #expect(!FileManager.default.fileExists(atPath: parts.path("parts")))
      #expect(
        try parts.run("--through", "report", "--set", "report.sampling_steps=3").exitCode == 0)
    }
  }

  /// The bytes of all files of a folder but those that are about this machine.
  private func files(_ folder: String) throws -> [String: Data] {
    let names = try FileManager.default.subpathsOfDirectory(atPath: folder).filter {
      $0.contains(".") && $0 != "state/digests.json"
    }
    return try Dictionary(
      uniqueKeysWithValues: names.map {
        ($0, try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\($0)")))
      })
  }

  @Test("doctor tells what a part takes")
  func forecast() throws {
    let outcome = try spo("doctor", "pipelines/quickstart.json5", "--partitions", "4", "--json")
    let report = try JSONReader(JSON(parsing: outcome.output), path: "doctor")["pipeline"]
    let parts = try report["parts"].elements()
    #expect(
      try parts.map { try $0.string("stage") } == [
        "ingest", "encode", "shard", "preference", "report",
      ])
    for part in parts {
      #expect(try part.int("bytes") > 0 && part.int("peak_memory") > 0)
      #expect(try part.double("seconds") > 0 && part.double("merge_seconds") > 0)
      #expect(try part.int("worthwhile") >= 1)
      // Nothing here is so small that all of it is one item.
      if try ["preference", "report"].contains(part.string("stage")) {
        #expect(try part.int("worthwhile") > 1)
      }
    }
    // A latent preference model sees no images.
    let latent = try spo(
      "doctor", "pipelines/quickstart-latent.json5", "--partitions", "4", "--json")
    let others = try JSONReader(JSON(parsing: latent.output), path: "doctor")["pipeline"]["parts"]
    #expect(
      try others.elements().map { try $0.string("stage") }
        == ["ingest", "encode", "shard", "report"])
  }

  private func names(_ folder: String) -> [String] {
    let all = try? FileManager.default.contentsOfDirectory(atPath: folder)
    return (all ?? []).filter { $0.hasSuffix(".part") }.sorted()
  }
}

extension SmallRun {
  /// Starts `spo run --through STAGE` in this workspace.
  fileprivate func program(
    _ stage: String, _ arguments: String..., environment: [String: String] = [:]
  ) throws -> Program {
    try program(stage, arguments, environment: environment)
  }

  fileprivate func program(
    _ stage: String, _ arguments: [String], environment: [String: String] = [:]
  ) throws -> Program {
    try Program(
      ["run", Self.pipeline, "--workspace", workspace, "--through", stage] + arguments,
      environment: environment)
  }
}
