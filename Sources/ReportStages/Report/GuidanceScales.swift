public import PipelineCore

/// One scale of classifier-free guidance or several, as a pipeline file says it.
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

  /// A single scale is a number, as it always was: what was made with it stays.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if values.count == 1 {
      try container.encode(values[0])
    } else {
      try container.encode(values)
    }
  }
}
