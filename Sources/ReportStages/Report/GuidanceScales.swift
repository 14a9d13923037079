public import PipelineCore

/// One or several scales of classifier-free guidance, as given in a pipeline file.
public struct GuidanceScales: Codable, Equatable, Sendable, NamedSettingKind {
  public static let settingKind = "a number or a list of numbers"

  public var values: [Float]

  public init(_ values: [Float]) { self.values = values }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let scale = try? container.decode(Float.self) {
      values = [scale]
    } else {
      values = try container.decode([Float].self)
    }
  }

  /// Encodes a single scale as a number, as before, so that existing results stay valid.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if values.count == 1 {
      try container.encode(values[0])
    } else {
      try container.encode(values)
    }
  }
}
