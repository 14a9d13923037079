import Files
import Foundation
import TestSupport
import Testing

/// A user's folder, file or link where this program once wrote a file of its own.
@Suite(.serialized) struct ForeignPlaceTests {
  @Test(
    "a folder in a result's place is refused by name, and what it holds stays",
    arguments: [
      ("report/index.html", "report"), ("spo/metrics.jsonl", "spo"),
      ("preference/evaluation.json", "preference"),
      ("spo/pytorch_lora_weights.safetensors", "spo"), ("shards/index.json", "shard"),
      ("encodings.json", "encode"),
    ])
  func folder(place: String, stage: String) throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      try FileManager.default.removeItem(atPath: run.path(place))
      try writeText("mine", to: run.path("\(place)/mine.txt"))
      let outcomes = [try run.run(), try run.run("--force", stage)]
      for outcome in outcomes where outcome.exitCode != 0 {
        expect(outcome, failsAs: .settings, naming: place)
      }
      #expect(outcomes[1].exitCode != 0)
      #expect(try run.bytes("\(place)/mine.txt") == Array("mine".utf8))
    }
  }

  @Test("a folder in a checkpoint's place stays when gc or a run removes the checkpoint")
  func checkpoint() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let checkpoints = run.path("spo/checkpoints")
      let newest = try #require(
        try FileManager.default.contentsOfDirectory(atPath: checkpoints).max())
      let file = "\(checkpoints)/\(newest)/weights.safetensors"
      try FileManager.default.removeItem(atPath: file)
      try writeText("mine", to: "\(file)/mine.txt")
      expectSuccess(try spo("gc", SmallRun.pipeline, "--workspace", run.workspace))
      #expect(try RegularFile(path: "\(file)/mine.txt").readAll() == Array("mine".utf8))
    }
  }

  @Test(
    "what a link leads to is not written over", arguments: ["encodings.json", "state/digests.json"])
  func link(place: String) throws {
    try withTemporaryFolder { folder in
      let precious = "\(folder)/precious.txt"
      try writeText("mine", to: precious)
      let run = try SmallRun.finished(in: folder)
      try FileManager.default.removeItem(atPath: run.path(place))
      try FileManager.default.createSymbolicLink(
        atPath: run.path(place), withDestinationPath: precious)
      for outcome in [try run.run(), try run.run("--force", "encode")] {
        expect(outcome, failsAs: .settings, naming: run.workspace)
      }
      #expect(try RegularFile(path: precious).readAll() == Array("mine".utf8))
    }
  }

  @Test(
    "a user's file under a name that changed settings give is refused before any work",
    arguments: [
      ("export/webui/foo.safetensors", "export.name=foo"),
      ("spo/checkpoints/step-000007/weights.safetensors", "spo.iterations=1"),
      ("shards/train-00001-of-00002.safetensors", "shard.shard_size_mb=2"),
      ("report/pictures/009-0-before.png", "report.sampling_steps=3"),
      ("export/.building/mine.txt", "export.name=foo"),
    ])
  func newName(place: String, setting: String) throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      try writeText("mine", to: run.path(place))
      let before = try FileManager.default.subpathsOfDirectory(atPath: run.workspace)
      expect(try run.run("--set", setting), failsAs: .settings, naming: place)
      #expect(try run.bytes(place) == Array("mine".utf8))
      #expect(try FileManager.default.subpathsOfDirectory(atPath: run.workspace) == before)
    }
  }

  @Test("a LoRA of the user's own in the result's place is kept")
  func ownLoRA() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let (place, kept) = (
        "spo/pytorch_lora_weights.safetensors", "state/kept/spo/pytorch_lora_weights.safetensors"
      )
      let result = try run.bytes(place)
      try writeText("mine", to: run.path(place))
      let outcome = try run.run()
      expectSuccess(outcome)
      #expect(try run.bytes(place) == result && run.bytes(kept) == Array("mine".utf8))
    }
  }

  @Test("an undisturbed run finds nothing that it would have to keep")
  func nothingKept() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      expectSuccess(try run.run("--set", "spo.rank=2"))
      expectSuccess(try spo("gc", SmallRun.pipeline, "--workspace", run.workspace))
      #expect(!FileManager.default.fileExists(atPath: run.path("state/kept")))
    }
  }

  @Test("a user's own folder where a stage works for a while stays")
  func scratchFolder() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let place = "preference/pictures/mine.png"
      try writeText("mine", to: run.path(place))
      try FileManager.default.removeItem(atPath: run.path("preference/model/model.safetensors"))
      let outcome = try run.run()
      expectSuccess(outcome)
      let kept = "state/kept/\(place)"
      #expect(outcome.errors.contains("\(place) was changed since it was written; it is kept as"))
      #expect(try run.bytes(kept) == Array("mine".utf8))
    }
  }

  @Test(
    "a file, or a link to nothing, where a result needs a folder is refused before any work",
    arguments: [
      ("spo/pictures", "spo.rank=2"), ("spo/checkpoints", "spo.rank=2"),
      ("spo/.building", "spo.rank=2"), ("export/webui", "export.name=foo"),
      ("report/candidates", "report.sampling_steps=3"), ("preference/model", "preference.steps=7"),
      ("export/merged", "export.name=foo"),
    ], [false, true])
  func fileForFolder(changed: (place: String, setting: String), isLink: Bool) throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let path = run.path(changed.place)
      try? FileManager.default.removeItem(atPath: path)
      if isLink {
        try FileManager.default.createSymbolicLink(
          atPath: path, withDestinationPath: "\(folder)/gone")
      } else {
        try writeText("mine", to: path)
      }
      let before = try FileManager.default.subpathsOfDirectory(atPath: run.workspace)
      expect(
        try run.run("--set", changed.setting), failsAs: .settings,
        naming: "\(changed.place): stage")
      #expect(try FileManager.default.subpathsOfDirectory(atPath: run.workspace) == before)
    }
  }

  @Test("a folder in a result that is a link to another disk is followed and kept")
  func otherDisk() throws {
    try withTemporaryFolder { folder in
      let disk = "/dev/shm/spo-test-\(getpid())"
      try FileManager.default.createDirectory(atPath: disk, withIntermediateDirectories: true)
      defer { try? FileManager.default.removeItem(atPath: disk) }
      let run = try SmallRun.finished(in: folder)
      for place in ["spo/checkpoints", "export/merged"] {
        let target = "\(disk)/\(place.split(separator: "/")[1])"
        try FileManager.default.copyItem(atPath: run.path(place), toPath: target)
        try FileManager.default.removeItem(atPath: run.path(place))
        try FileManager.default.createSymbolicLink(
          atPath: run.path(place), withDestinationPath: target)
      }
      let changed = ["--set", "spo.rank=2", "--set", "export.name=foo"]
      expectSuccess(try run.run(changed[0], changed[1], changed[2], changed[3]))
      let states = try run.states(changed[0], changed[1], changed[2], changed[3])
      #expect(states["export"] == "done" && states["spo"] == "done")
      #expect(FileManager.default.fileExists(atPath: "\(disk)/merged/model_index.json"))
      #expect(!FileManager.default.fileExists(atPath: run.path("state/kept")))
    }
  }

  @Test("a stranger's digests make no workspace", arguments: [true, false])
  func digests(isLink: Bool) throws {
    try withTemporaryFolder { folder in
      let run = SmallRun(in: folder)
      let file = isLink ? "\(folder)/mine.json" : run.path("state/digests.json")
      try writeText("{\"my\": 1}", to: file)
      if isLink {
        try FileManager.default.createDirectory(
          atPath: run.path("state"), withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(
          atPath: run.path("state/digests.json"), withDestinationPath: file)
      }
      expect(
        try run.run("--through", "encode"), failsAs: .settings, naming: "state/digests.json")
      #expect(try RegularFile(path: file).readAll() == Array("{\"my\": 1}".utf8))
    }
  }

  @Test("a linked result of our own is followed and replaced behind the link")
  func ownLink() throws {
    try withTemporaryFolder { folder in
      let run = try SmallRun.finished(in: folder)
      let elsewhere = "\(folder)/encodings.json"
      try FileManager.default.moveItem(atPath: run.path("encodings.json"), toPath: elsewhere)
      try FileManager.default.createSymbolicLink(
        atPath: run.path("encodings.json"), withDestinationPath: elsewhere)
      expectSuccess(try run.run("--force", "encode"))
      let target = try FileManager.default.destinationOfSymbolicLink(
        atPath: run.path("encodings.json"))
      #expect(target == elsewhere)
    }
  }
}
