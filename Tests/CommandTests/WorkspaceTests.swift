import Files
import Foundation
import TestSupport
import Testing

/// The user's files are never touched, and a result is replaced, never deleted first.
@Suite(.serialized) struct WorkspaceTests {
  /// Folders and files that stages write, by the stage that does.
  static let folders = ["shards", "preference", "spo", "export", "report"]

  @Test("a user's file in a stage's folder is refused by name before any work", arguments: folders)
  func foreignFile(place: String) throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let file = run.path("\(place)/mine.txt")
      try writeText("mine", to: file)
      let outcome = try run.run()
      #expect(outcome.exitCode ?? 0 != 0, "\(outcome)")
      #expect(outcome.errors.contains(place), "\(outcome)")
      #expect(try RegularFile(path: file).readAll() == Array("mine".utf8))
      #expect(!FileManager.default.fileExists(atPath: run.path("catalog.sqlite")), "work was done")
    }
  }

  @Test(
    "a user's file beside finished results survives that they are made again", arguments: folders)
  func foreignFileBesideResults(place: String) throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let file = run.path("\(place)/mine.txt")
      try writeText("mine", to: file)
      _ = try run.run("--force", place == "shards" ? "shard" : place)
      #expect(try RegularFile(path: file).readAll() == Array("mine".utf8))
    }
  }

  @Test("a plain file at a stage's place is refused and stays", arguments: folders)
  func fileInPlace(place: String) throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      try writeText("mine", to: run.path(place))
      let outcome = try run.run()
      #expect(outcome.exitCode ?? 0 != 0, "\(outcome)")
      #expect(try run.bytes(place) == Array("mine".utf8))
    }
  }

  @Test("a stage's folder that is a symbolic link is followed and kept")
  func symbolicLink() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let disk = "\(folder)/disk"
      try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
      try FileManager.default.createDirectory(
        atPath: run.workspace, withIntermediateDirectories: true)
      try FileManager.default.createSymbolicLink(
        atPath: run.path("shards"), withDestinationPath: disk)
      expectSuccess(try run.run("--through", "shard"))
      expectSuccess(try run.run("--through", "shard", "--force", "shard"))
      let target = try FileManager.default.destinationOfSymbolicLink(atPath: run.path("shards"))
      #expect(target == disk)
      #expect(FileManager.default.fileExists(atPath: "\(disk)/index.json"))
    }
  }

  @Test("an empty name is no workspace", arguments: ["run", "status", "doctor"])
  func emptyName(command: String) throws {
    let outcome = try spo(command, SmallRun.pipeline, "--workspace", "")
    #expect([2, 3].contains(outcome.exitCode), "\(outcome)")
    #expect(outcome.errors.contains("workspace"), "\(outcome)")
  }

  @Test("a folder of something else is no workspace")
  func foreignFolder() throws {
    try withTemporaryFolder { folder in
      try writeText("mine", to: "\(folder)/workspace/thesis.txt")
      let run = SmallRun(in: folder)
      let outcome = try run.run("--through", "ingest")
      #expect(outcome.exitCode ?? 0 != 0, "\(outcome)")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.workspace) == ["thesis.txt"])
    }
  }

  @Test("what has the name of the cache and is none is refused and kept")
  func foreignCache() throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      try writeText("mine, precious", to: run.path("cache.sqlite"))
      expect(
        try run.run("--through", "encode"), failsAs: .settings, naming: run.workspace,
        "cache.sqlite")
      #expect(
        try FileManager.default.contentsOfDirectory(atPath: run.workspace) == ["cache.sqlite"])
      #expect(try RegularFile(path: run.path("cache.sqlite")).size == 14)
    }
  }

  @Test("a run from where the pipeline's files are not leaves no workspace behind")
  func otherFolder() throws {
    try withTemporaryFolder { folder in
      let outcome = try spo("run", "\(repository)/pipelines/quickstart.json5", in: folder)
      expect(outcome, failsAs: .input, naming: "data/")
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).isEmpty)
    }
  }

  @Test("a source that was touched, copied or is spelled otherwise changes nothing")
  func touched() throws {
    try withTemporaryFolder { folder in
      let sources = "\(folder)/sources"
      try FileManager.default.copyItem(atPath: fixturePath("commands/comparisons"), toPath: sources)
      let run = SmallRun(in: folder)
      let setting = "ingest.source=\(sources)/*.parquet"
      expectSuccess(try run.run("--set", setting))
      let lora = try run.bytes("spo/pytorch_lora_weights.safetensors")

      let train = "\(sources)/train-00000-of-00001.parquet"
      try FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: train)
      #expect(Set(try run.states("--set", setting).values) == ["done"])
      let bytes = try RegularFile(path: train).readAll()
      try FileManager.default.removeItem(atPath: train)
      try Data(bytes).write(to: URL(fileURLWithPath: train))
      #expect(Set(try run.states("--set", setting).values) == ["done"])

      let other = "ingest.source=\(sources)/../sources/*.parquet"
      let outcome = try Program(
        ["run", SmallRun.pipeline, "--workspace", run.workspace, "--set", other]
      ).outcome()
      expectSuccess(outcome)
      for stage in ["preference", "spo"] {
        #expect(!outcome.errors.contains("\(stage): starts"), "\(outcome)")
      }
      #expect(try run.bytes("spo/pytorch_lora_weights.safetensors") == lora)
    }
  }

  @Test("a finished result stays usable until its successor is complete")
  func replaced() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let model = try run.bytes("preference/model/model.safetensors")
      let lora = try run.bytes("spo/pytorch_lora_weights.safetensors")
      // Long enough to be interrupted while the successor is trained.
      let changes = ["--set", "preference.clean_steps=499", "--set", "preference.steps=500"]
      let program = try Program(
        ["run", SmallRun.pipeline, "--workspace", run.workspace] + changes)
      try program.wait {
        try run.states("--set", "preference.clean_steps=499", "--set", "preference.steps=500")[
          "preference"] == "partial"
      }
      program.interrupt()
      #expect(try program.outcome().exitCode == 130)
      #expect(try run.bytes("preference/model/model.safetensors") == model)
      #expect(try run.bytes("spo/pytorch_lora_weights.safetensors") == lora)
      // Back to the old settings: nothing is lost.
      expectSuccess(try run.run())
      #expect(try run.bytes("preference/model/model.safetensors") == model)
      #expect(try run.bytes("spo/pytorch_lora_weights.safetensors") == lora)
    }
  }

  @Test("no temporary file is left after the next run")
  func leftovers() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let names = ["spo/x.tmp.123", "state/spo.json.tmp.99999", "shards/y.safetensors.tmp.7"]
      for name in names { try writeText("", to: run.path(name)) }
      _ = try run.run("--force", "report")
      for name in names where name.hasPrefix("state/") {
        #expect(!FileManager.default.fileExists(atPath: run.path(name)), "\(name)")
      }
    }
  }

  @Test("a deleted result is made again by the same command, the same bytes")
  func deleted() throws {
    for path in ["preference/model", "spo/pytorch_lora_weights.safetensors", "export", "shards"] {
      try withTemporaryFolder { folder in
        let run = try SmallRun.finished(in: folder)
        let lora = try run.bytes("spo/pytorch_lora_weights.safetensors")
        try FileManager.default.removeItem(atPath: run.path(path))
        #expect(try run.states().values.contains("missing"), "\(path)")
        expectSuccess(try run.run())
        #expect(FileManager.default.fileExists(atPath: run.path(path)), "\(path)")
        #expect(try run.bytes("spo/pytorch_lora_weights.safetensors") == lora)
      }
    }
  }

  @Test("what is done can be looked at where nothing can be written", .enabled(if: Self.canMount))
  func readOnly() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      // What is known of files before they were copied does not hold for the copies.
      expectSuccess(try run.run())
      for command in [["verify"], ["gc", "--dry-run"], ["run"], ["status"]] {
        expectSuccess(
          try Program(
            [command[0], SmallRun.pipeline, "--workspace", run.workspace] + command.dropFirst(),
            emulator: Self.readOnly(run.workspace)
          ).outcome())
      }
      let other = try Program(
        ["run", SmallRun.pipeline, "--workspace", run.workspace, "--set", "spo.seed=3"],
        emulator: Self.readOnly(run.workspace)
      ).outcome()
      #expect(other.exitCode == FailureKind.other.rawValue && other.errors.contains(run.workspace))
    }
  }

  /// Words that run a program with a folder mounted so that only it cannot write there.
  private static func readOnly(_ path: String) -> [String] {
    let mount =
      "mount --bind '\(path)' '\(path)' && mount -o remount,ro,bind '\(path)' && exec \"$@\""
    return ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", mount, "sh"]
  }

  /// Whether the tests may mount folders, which takes root.
  private static let canMount: Bool = {
    let words = readOnly(FileManager.default.temporaryDirectory.path) + ["/bin/true"]
    guard FileManager.default.isExecutableFile(atPath: words[0]),
      let process = try? Process.run(
        URL(fileURLWithPath: words[0]), arguments: Array(words.dropFirst()))
    else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }()
}
