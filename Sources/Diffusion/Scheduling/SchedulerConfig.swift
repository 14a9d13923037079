public import Files

/// The supported sampling methods.
public enum SchedulerKind: String, CaseIterable, Sendable {
  case ddim = "DDIMScheduler"
  case pndm = "PNDMScheduler"
  case euler = "EulerDiscreteScheduler"
  case dpmSolver = "DPMSolverMultistepScheduler"
}

/// The settings in a `scheduler_config.json`, with diffusers' defaults for absent ones.
public struct SchedulerConfig: Sendable {
  package let json: JSONReader

  public init(_ json: JSONReader) { self.json = json }

  /// Reads `scheduler_config.json` of a folder.
  public init(folder: String) throws {
    let path = "\(folder)/scheduler_config.json"
    let limit = 16 << 20
    let file = try RegularFile(path: path)
    guard file.size <= limit else {
      throw JSONError.tooLarge(source: path, size: file.size, limit: limit)
    }
    try file.requireNoMistake(expected: "a JSON file", isText: true)
    // Python writes the default of `lambda_min_clipped` as -Infinity, which JSON does not have.
    let text = String(decoding: try file.readAll(), as: UTF8.self)
      .split(separator: ": -Infinity", omittingEmptySubsequences: false).joined(separator: ": null")
    json = JSONReader(try JSON(parsing: text, source: path), path: path)
  }

  /// Returns the settings as modified by diffusers' `StableDiffusionPipeline`.
  ///
  /// `steps_offset` becomes 1 and `clip_sample` false, whether or not they are present.
  public func asInStableDiffusionPipeline() throws -> SchedulerConfig {
    var object = try json.object()
    object["steps_offset"] = 1
    object["clip_sample"] = false
    return SchedulerConfig(JSONReader(.object(object), path: json.path))
  }

  /// Returns the class that the folder names.
  public func kind() throws -> SchedulerKind {
    try choice("_class_name", default: nil, SchedulerKind.self)
  }

  /// Returns the meaning of the model's output.
  public func predictionType() throws -> PredictionType {
    try choice("prediction_type", default: .noise, PredictionType.self)
  }

  /// Returns the setting `key` as one of the cases of `Choice`.
  func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, default fallback: Choice?, _ type: Choice.Type = Choice.self
  ) throws -> Choice where Choice.RawValue == String {
    if let fallback, try json.optional(key) == nil { return fallback }
    let name = try json.string(key)
    guard let choice = Choice(rawValue: name) else {
      let names = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw SchedulerError.unsupported(path: json.path, key: key, found: name, supported: names)
    }
    return choice
  }

  /// Rejects any value of a setting but the default.
  func require(_ key: String, _ value: String) throws {
    let found = try json.string(key, default: value)
    guard found == value else {
      throw SchedulerError.unsupported(path: json.path, key: key, found: found, supported: value)
    }
  }

  /// Rejects each setting that is switched on.
  func requireOff(_ keys: String...) throws {
    for key in keys where try json.bool(key, default: false) {
      throw SchedulerError.unsupported(path: json.path, key: key, found: "true", supported: "false")
    }
  }
}

/// The prediction target of a diffusion model, from a noised sample x = alpha x0 + sigma noise.
public enum PredictionType: String, CaseIterable, Sendable {
  case noise = "epsilon"
  case x0 = "sample"
  /// v = alpha noise - sigma x0 (Salimans and Ho 2022, arXiv 2202.00512).
  case velocity = "v_prediction"
}

/// `sample` times the noised sample plus `output` times the model's output.
public struct LinearCombination: Equatable, Sendable {
  public let sample: Float
  public let output: Float
}

extension PredictionType {
  /// Returns the x0 prediction as a combination of the noised sample and the model's output.
  func predictedX0(alpha: Float, sigma: Float) -> LinearCombination {
    switch self {
    case .noise: LinearCombination(sample: 1 / alpha, output: -sigma / alpha)
    case .x0: LinearCombination(sample: 0, output: 1)
    case .velocity: LinearCombination(sample: alpha, output: -sigma)
    }
  }

  /// Returns the noise prediction as a combination of the noised sample and the model's output.
  func noise(alpha: Float, sigma: Float) -> LinearCombination {
    switch self {
    case .noise: LinearCombination(sample: 0, output: 1)
    case .x0: LinearCombination(sample: 1 / sigma, output: -alpha / sigma)
    case .velocity: LinearCombination(sample: sigma, output: alpha)
    }
  }
}
