/// The version of this program, by [Semantic Versioning](https://semver.org).
public enum ProgramVersion {
  public static let current = "1.0.0"
}
