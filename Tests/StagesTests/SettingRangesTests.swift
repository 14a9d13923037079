import Files
import Foundation
import PipelineCore
import Stages
import TestSupport
import Testing

/// Every setting of every stage, from its declaration.
@Suite struct SettingRangesTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let stage: String
    let setting: SettingDescriptor
    var testDescription: String { "\(stage).\(setting.name)" }
  }

  private static func cases(of type: any Stage.Type) throws -> [Case] {
    func all<S: Stage>(_ type: S.Type) throws -> [Case] {
      try S.Settings.descriptors().map { Case(stage: S.name, setting: $0) }
    }
    return try all(type)
  }

  static func cases() throws -> [Case] { try stageTypes.flatMap { try cases(of: $0) } }

  /// The settings without a default.
  private static let required: [String: [String: JSON]] = [
    "ingest": ["source": "rows.parquet"], "encode": ["model": "m"], "label": ["scorer": "m"],
    "preference": ["model": "m", "start": "m"], "spo": ["model": "m"], "dpo": ["model": "m"],
    "export": ["model": "m"],
    "report": ["model": "m", "prompts": "p.json"],
  ]

  /// The settings of a pipeline with one stage and one value that is not the default.
  private func message(_ stage: String, _ name: String, _ value: JSON) throws -> String? {
    try withTemporaryFolder { folder in
      var block = JSON.Object()
      for (key, value) in Self.required[stage] ?? [:] { block[key] = value }
      block[name] = value
      let root: JSON = ["workspace": "w", "stages": [stage: .object(block)]]
      let path = "\(folder)/p.json5"
      try root.text().write(toFile: path, atomically: false, encoding: .utf8)
      do {
        _ = try Pipeline(path: path, stages: stageTypes)
        return nil
      } catch let error as PipelineError {
        return error.description.replacingOccurrences(of: path, with: "FILE")
      }
    }
  }

  @Test(
    "each setting is declared with a sentence, and each number with a range", arguments: try cases()
  )
  func declared(_ one: Case) {
    let setting = one.setting
    #expect(setting.sentence.hasSuffix("."))
    #expect(setting.sentence.first?.isUppercase == true)
    let kinds = ["a ", "an ", "true or false", "\""]
    #expect(kinds.contains { setting.type.hasPrefix($0) }, "\(setting.type)")
    if setting.isNumeric, setting.name != "seed" {
      guard case .range = setting.limits else {
        Issue.record("a number without a range")
        return
      }
    }
  }

  @Test("no setting is left undeclared")
  func complete() throws {
    for type in stageTypes {
      func check<S: Stage>(_ type: S.Type) throws {
        let keys = Mirror(reflecting: S.Settings()).children.count
        #expect(try S.Settings.descriptors().count == keys, "\(S.name)")
      }
      try check(type)
    }
  }

  @Test(
    "values that cannot be used are refused in one line that says what can", arguments: try cases())
  func refused(_ one: Case) throws {
    let setting = one.setting
    var bad: [JSON] = [["x": [1]]]
    if !setting.type.contains("string") { bad += ["", "nothing like it", "NaN", "Infinity"] }
    if !setting.type.contains("or null") { bad.append(.null) }
    if setting.isNumeric || setting.type.hasPrefix("a ") { bad.append(true) }
    if let first = setting.choices.first { bad += [.string(first + "x"), 3] }
    if case .range(let bounds) = setting.limits {
      bad += Self.outside(bounds).map { setting.type.hasPrefix("a list") ? [$0] : $0 }
    }
    if case .text(let form) = setting.limits {
      bad += form == .fileName ? ["../x", "a/b", "", ".", 4] : ["", 4]
    }
    // An object is what a map of columns is.
    if setting.type.hasPrefix("an object") { bad = [3, "x", ["caption": 1]] }
    for value in bad {
      let message = try message(one.stage, setting.name, value) ?? "accepted: \(value.text())"
      #expect(message.hasPrefix("FILE: stages.\(one.stage).\(setting.name)"), "\(message)")
      #expect(message.contains(": must be "), "\(message)")
      #expect(message.contains("but is "), "\(message)")
      #expect(!message.contains("\n"))
      if case .range = setting.limits, value.double != nil {
        #expect(message.contains(setting.limits.text ?? "?"), "\(message)")
      }
    }
  }

  private static func outside(_ bounds: SettingLimits.Bounds) -> [JSON] {
    [
      .number(bounds.includesLower ? bounds.lower - 1 : bounds.lower),
      .number(bounds.includesUpper ? bounds.upper * 2 + 1 : bounds.upper),
      .number(-1e30), .number(1e30), .number(1e300), .integer(.max), .integer(.min),
    ]
  }

  @Test("the ends of a range belong to it", arguments: try cases())
  func accepted(_ one: Case) throws {
    guard case .range(let bounds) = one.setting.limits else { return }
    let ends =
      (bounds.includesLower ? [bounds.lower] : []) + (bounds.includesUpper ? [bounds.upper] : [])
    for end in ends {
      let value: JSON = one.setting.type.hasPrefix("a list") ? [.number(end)] : .number(end)
      // Another setting may forbid it; the range may not.
      let message = try message(one.stage, one.setting.name, value) ?? ""
      #expect(!message.contains("must be \(one.setting.limits.text ?? "?")"), "\(message)")
      #expect(!message.contains("an integer"), "\(message)")
    }
  }

  @Test(
    "settings that do not fit each other are refused",
    arguments: [
      ("spo", "divert_step", 50), ("spo", "divert_step", 20), ("spo", "stop_step", 4),
      ("spo", "inner_steps", 16), ("spo", "highest_threshold", 0.2), ("spo", "sampling_steps", 4),
      ("dpo", "warm_up_steps", 10_000), ("preference", "steps", 500),
      ("preference", "warm_up_steps", 8_000),
      ("preference", "clean_steps", 8_000), ("preference", "selection_limit", 1),
      ("preference", "validation_timesteps", []),
      ("preference", "validation_timesteps", [1, 1]), ("export", "forms", []),
      ("export", "forms", ["lora", "lora"]), ("comparisons", "train_prompts", 700),
      ("report", "guidance", []), ("report", "guidance", [7, 7]),
      ("report", "negative_lora", ""), ("report", "negative_lora", "=0.5"),
      ("spo", "window", 17), ("spo", "held_out_scorers", ["pickscor": "x"]),
      ("report", "scorers", ["pickscor": "x"]), ("report", "scorers", ["pickscore": ""]),
    ] as [(String, String, JSON)])
  func conflicts(stage: String, setting: String, value: JSON) throws {
    let message = try message(stage, setting, value) ?? "accepted"
    #expect(message.hasPrefix("FILE: stages.\(stage)."), "\(message)")
    #expect(message.contains(": must "), "\(message)")
  }

  @Test("labels of whole trajectories leave no inner steps and nothing to continue")
  func trajectories() throws {
    for (setting, value) in [("inner_steps", "2"), ("continue_from", "\"best\"")] {
      let message = try withTemporaryFolder { folder in
        let path = "\(folder)/p.json5"
        try
          "{ workspace: 'w', stages: { spo: { model: 'm', labels: 'trajectory', \(setting): \(value) } } }"
          .write(toFile: path, atomically: false, encoding: .utf8)
        return failure { _ = try Pipeline(path: path, stages: stageTypes) } ?? "accepted"
      }
      #expect(message.contains("stages.spo.\(setting): must be "), "\(message)")
      #expect(message.contains("where labels is \"trajectory\""), "\(message)")
    }
  }

  @Test(
    "a setting that others leave without effect is refused",
    arguments: [
      ("dpo", "loss: 'supervised', beta: 2000", "beta: must be 5000.0, the default, where loss is"),
      (
        "spo", "held_out_prompts: 3",
        "held_out_prompts: must be 8, the default, where held_out_every"
      ),
      ("spo", "held_out_oracle: 'procedural-world'", "held_out_oracle: must be \"none\" where"),
      ("spo", "held_out_scorers: {clip: 'x'}", "held_out_scorers: must be {} where held_out_every"),
      (
        "report", "prompts: 'p', guidance: [1, 5], negative_lora: 'x'",
        "negative_lora: must be null where guidance is 1"
      ),
      ("spo", "target_step: 1", "target_step: must be 0.5, the default, where loss is"),
      ("spo", "loss: 'gradspo', inner_steps: 2", "loss: must be \"spo\" where inner_steps"),
      ("spo", "loss: 'gradspo', labels: 'trajectory'", "loss: must be \"spo\" where inner_steps"),
      ("dpo", "loss: 'supervised', safeguard: 0.9", "safeguard: must be null where loss is"),
    ])
  func unused(stage: String, settings: String, expected: String) throws {
    let message = try withTemporaryFolder { folder in
      let path = "\(folder)/p.json5"
      try "{ workspace: 'w', stages: { \(stage): { model: 'm', \(settings) } } }"
        .write(toFile: path, atomically: false, encoding: .utf8)
      return failure { _ = try Pipeline(path: path, stages: stageTypes) } ?? "accepted"
    }
    #expect(message.contains("stages.\(stage).\(expected)"), "\(message)")
  }

  @Test("an override replaces all that a setting has, and one of a member that member")
  func overriddenObjects() throws {
    try withTemporaryFolder { folder in
      let path = "\(folder)/p.json5"
      try
        "{ workspace: 'w', stages: { report: { model: 'm', prompts: 'p', scorers: { clip: 'a', hpsv2: 'b' } } } }"
        .write(toFile: path, atomically: false, encoding: .utf8)
      func scorers(_ overrides: String...) throws -> JSON? {
        try Pipeline(path: path, stages: stageTypes, overrides: overrides)
          .stages[0].settings["scorers"]
      }
      #expect(try scorers("report.scorers={}") == .object(JSON.Object()))
      #expect(try scorers("report.scorers={pickscore: 'c'}") == ["pickscore": "c"])
      #expect(try scorers("report.scorers.clip=c") == ["clip": "c", "hpsv2": "b"])
    }
  }

  @Test("words are corrected")
  func suggestions() throws {
    #expect(
      try message("preference", "kind", "pixl")
        == "FILE: stages.preference.kind: must be \"pixel\" or \"latent\", but is \"pixl\"; "
        + "did you mean \"pixel\"?")
    #expect(
      try message("ingest", "source", 3)
        == "FILE: stages.ingest.source: must be a string or a list of strings, but is 3")
    #expect(
      try message("spo", "learning_rte", 1)
        == "FILE: stages.spo.learning_rte: unknown setting; did you mean \"learning_rate\"?"
    )
  }

  @Test("the documentation's page is what the program says")
  func documentation() throws {
    let page = try String(contentsOfFile: fixturePath("../../docs/settings.md"), encoding: .utf8)
    #expect(page == (try SettingsReference(stageTypes).markdown) + "\n", "run `make docs`")
  }
}
