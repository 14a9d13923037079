import Files
import Foundation
import TestSupport
import Testing

/// Settings out of their range are refused in one line before any work, by whatever reads them.
@Suite(.serialized) struct SettingsTests {
  static let quickstart = "pipelines/quickstart.json5"

  /// The public table of settings that trapped, ended late or were never looked at.
  static let outOfRange = [
    "encode.size=0", "encode.size=-8", "encode.batch=0",
    "spo.rank=0", "spo.rank=100000", "spo.candidates=0", "spo.candidates=1", "spo.batch=0",
    "spo.pair_batch=0", "spo.clip=-1", "spo.learning_rate=-1", "spo.learning_rate=1e30",
    "spo.epochs=0", "spo.prompts=0", "spo.divert_step=50", "spo.threshold=2", "spo.threshold=1",
    "spo.eta=0", "spo.eta=2", "spo.sampling_steps=0", "spo.sampling_steps=5000",
    "spo.inner_steps=-1", "spo.micro_batch=0", "spo.beta=0", "spo.iterations=-1",
    "preference.batch=0", "preference.steps=0", "preference.timestep_limit=0",
    "preference.timestep_limit=5000", "preference.timestep_spacing=0",
    "preference.validation_timesteps=[5000]", "preference.validation_timesteps=[-1]",
    "preference.warm_up_steps=-1", "preference.weight_decay=-1", "preference.beta2=1",
    "preference.micro_batch=0", "preference.estimates=-1", "preference.validation_pairs=0",
    "report.pictures_per_prompt=0", "report.shown_prompts=-1", "report.sampling_steps=0",
    "report.eta=3", "ingest.max_reject_fraction=2", "threads=0",
    "device=gpu", "device=cuda:-1",
  ]

  /// Ranges that span two settings.
  static let inconsistent = [
    ["spo.divert_step=8", "spo.stop_step=5"], ["spo.divert_step=10"], ["spo.stop_step=11"],
  ]

  @Test(
    "labels of a stage that the pipeline does not have are refused",
    arguments: ["run", "status", "doctor"])
  func missingStage(command: String) throws {
    try withTemporaryFolder { folder in
      let outcome = try spo(
        command, SmallRun.pipeline, "--workspace", "\(folder)/workspace", "--set",
        "shard.labels=model")
      expect(outcome, failsAs: .settings, naming: "shard", "labels", "add that stage")
    }
  }

  @Test("more steps than the scheduler of the model that is made allows are refused")
  func sampledSteps() throws {
    let pipeline = "Tests/Torture/pipelines/base.json5"
    let outcome = try spo("doctor", pipeline, "--set", "comparisons.steps=1000")
    expect(outcome, failsAs: .settings, naming: "comparisons.steps", "1 to 999")
  }

  private func expectRefusal(
    of settings: [String], by command: String, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    try withTemporaryFolder { folder in
      let workspace = "\(folder)/workspace"
      let through = command == "run" ? ["--through", "ingest"] : []
      let outcome = try Program(
        [command, Self.quickstart, "--workspace", workspace] + through
          + settings.flatMap { ["--set", $0] }
      ).outcome(within: 60, sourceLocation: sourceLocation)
      #expect(
        outcome.exitCode == FailureKind.settings.rawValue, "\(command) \(settings): \(outcome)",
        sourceLocation: sourceLocation)
      #expect(outcome.failures.count == 1, "\(outcome)", sourceLocation: sourceLocation)
      // The setting and its value are named.
      let (key, value) = (
        settings[0].prefix { $0 != "=" }, settings[0].drop { $0 != "=" }.dropFirst()
      )
      let line = outcome.failures.joined()
      let name = key.split(separator: ".").last ?? key
      #expect(line.contains(name), "\(outcome)", sourceLocation: sourceLocation)
      let bare = value.filter { !"[]".contains($0) }
      #expect(
        bare.isEmpty || line.contains(bare) || line.contains("\(Double(bare) ?? .nan)"),
        "\(outcome)",
        sourceLocation: sourceLocation)
      #expect(
        !FileManager.default.fileExists(atPath: workspace), "a workspace was made",
        sourceLocation: sourceLocation)
    }
  }

  @Test("run, status and doctor refuse a value out of range by name", arguments: outOfRange)
  func ranges(setting: String) throws {
    for command in ["run", "status", "doctor"] { try expectRefusal(of: [setting], by: command) }
  }

  @Test("settings that contradict each other are refused", arguments: inconsistent)
  func relations(settings: [String]) throws {
    for command in ["run", "doctor"] { try expectRefusal(of: settings, by: command) }
  }

  @Test(
    "models of different stages that do not fit each other are refused before any work",
    arguments: ["preference", "spo", "export", "report"])
  func models(stage: String) throws {
    let model = fixturePath("sample/model")
    for command in ["run", "doctor"] {
      try withTemporaryFolder { folder in
        let workspace = "\(folder)/workspace"
        let outcome = try spo(
          command, Self.quickstart, "--workspace", workspace, "--set", "\(stage).model=\(model)")
        expect(
          outcome, failsAs: .settings, naming: "\(stage).model", model, "data/tiny-sd", "8", "64")
        #expect(!FileManager.default.fileExists(atPath: workspace))
      }
    }
  }

  @Test("the oracle of the built-in world is refused for a model of another size")
  func oracle() throws {
    try withTemporaryFolder { folder in
      let model = "\(folder)/model"
      try FileManager.default.copyItem(atPath: "data/tiny-sd", toPath: model)
      // Without a size in the file it is diffusers' default, 64.
      let path = "\(model)/unet/config.json"
      var configuration = try JSONReader(contentsOf: path).object()
      configuration["sample_size"] = nil
      try Data(JSON.object(configuration).text().utf8).write(to: URL(fileURLWithPath: path))
      let models = ["encode", "preference", "spo", "export", "report"].flatMap {
        ["--set", "\($0).model=\(model)"]
      }
      for command in ["run", "doctor"] {
        let workspace = "\(folder)/workspace"
        for (more, setting) in [
          ([], "spo.held_out_oracle"), (["--set", "spo.held_out_oracle=none"], "report.oracle"),
        ] {
          let outcome = try Program(
            [command, Self.quickstart, "--workspace", workspace] + models + more
          ).outcome(within: 60)
          expect(outcome, failsAs: .settings, naming: setting, "128 x 128", "512 x 512")
          #expect(!FileManager.default.fileExists(atPath: workspace))
        }
      }
    }
  }

  @Test(
    "a misspelt name or value is answered with what there is",
    arguments: [
      ("preference.kind=pixl", ["pixel", "latent"]), ("spo.treshold=0.1", ["threshold"]),
      ("sop.threshold=0.1", ["spo"]), ("spo.rank=\"four\"", ["rank", "integer"]),
      ("ingest.source=3", ["source", "list"]), ("ingest.ties=sotf", ["soft", "drop"]),
    ])
  func misspelt(setting: String, words: [String]) throws {
    let outcome = try spo("status", Self.quickstart, "--set", setting)
    expect(outcome, failsAs: .settings)
    for word in words { #expect(outcome.errors.contains(word), "\(outcome)") }
  }

  @Test("a shared setting that a stage overrules is not lost in silence")
  func overruled() throws {
    let outcome = try spo("status", Self.quickstart, "--set", "rank=4")
    let isNamed = outcome.errors.contains("spo.rank") || outcome.output.contains("spo.rank")
    #expect(outcome.exitCode != 0 || isNamed, "\(outcome)")
  }

  @Test("spo settings lists every setting with its default, its range and a sentence")
  func list() throws {
    let all = try spo("settings")
    expectSuccess(all)
    for name in ["spo.threshold", "preference.steps", "encode.size", "report.eta"] {
      let key = name.split(separator: ".").last ?? ""
      #expect(all.output.contains(key), "\(name) is missing")
    }
    let json = try spo("settings", "spo", "--json")
    expectSuccess(json)
    #expect(try JSON(parsing: json.output) != .null)
    expect(try spo("settings", "sop"), failsAs: .usage, naming: "spo")
  }
}
