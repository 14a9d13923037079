import COpenBLAS

/// The build configuration of the kernels.
public enum KernelBuild {
  /// Optional instruction sets that they use, in the names of `/proc/cpuinfo`; none where the
  /// architecture's usual ones are all.
  public static var instructionSets: [String] {
    String(cString: spo_instruction_sets()).split(separator: " ").map(String.init)
  }

  /// Version, options and chosen processor of OpenBLAS.
  public static var openBLAS: String {
    guard let text = openblas_get_config() else { return "unknown" }
    return String(cString: text)
  }
}
