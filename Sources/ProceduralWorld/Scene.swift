/// A named colour of the world.
public enum SceneColour: String, CaseIterable, Sendable {
  case red, yellow, green, blue, purple

  /// The middle of the colour's range of hues, in degrees.
  var hue: Float {
    switch self {
    case .red: 0
    case .yellow: 50
    case .green: 125
    case .blue: 215
    case .purple: 285
    }
  }
}

public enum SceneShape: String, CaseIterable, Sendable {
  case circle, square, triangle
}

/// The position of an object.
///
/// Positions are in units, a 64th of an image's side, from the top left corner, y down.
public enum ScenePlace: String, CaseIterable, Sendable {
  case left, right, top, bottom, middle

  var centre: SIMD2<Float> {
    switch self {
    case .left: [20, 32]
    case .right: [44, 32]
    case .top: [32, 20]
    case .bottom: [32, 44]
    case .middle: [32, 32]
    }
  }
}

public enum SceneBackground: String, CaseIterable, Sendable {
  case light, dark
}

public struct SceneObject: Hashable, Sendable {
  public var colour: SceneColour
  public var shape: SceneShape
  public var place: ScenePlace
}

/// The contents of a procedural-world prompt: one or two objects on a plain background.
///
/// One object lies anywhere. Two lie left and right, or top and bottom, in that order, and differ in
/// colour. That makes 150 + 720 = 870 scenes.
public struct Scene: Hashable, Sendable {
  public let objects: [SceneObject]
  public let background: SceneBackground

  /// Every scene, in a fixed order.
  public static let all: [Scene] = singles + pairs

  /// The places of two objects, in the order in which a prompt names them.
  static let placePairs: [[ScenePlace]] = [[.left, .right], [.top, .bottom]]

  private static var singles: [Scene] {
    ScenePlace.allCases.flatMap { place in
      objects(at: place).flatMap { object in
        SceneBackground.allCases.map { Scene(objects: [object], background: $0) }
      }
    }
  }

  private static var pairs: [Scene] {
    placePairs.flatMap { places in
      objects(at: places[0]).flatMap { first in
        objects(at: places[1]).filter { $0.colour != first.colour }.flatMap { second in
          SceneBackground.allCases.map { Scene(objects: [first, second], background: $0) }
        }
      }
    }
  }

  private static func objects(at place: ScenePlace) -> [SceneObject] {
    SceneColour.allCases.flatMap { colour in
      SceneShape.allCases.map { SceneObject(colour: colour, shape: $0, place: place) }
    }
  }
}
