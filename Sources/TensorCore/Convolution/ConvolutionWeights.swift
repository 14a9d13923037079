public import HostResources

/// The weights of one convolution and the layouts that the kernels derive from them.
///
/// Each layout is created on first use and cached. From half-precision weights it is recreated,
/// widened, for every convolution, unless it is small.
///
/// Not safe to share between threads that convolve concurrently.
public final class ConvolutionWeights {
  /// The location of weights `[kernelHeight, kernelWidth, inputChannels, outputChannels]`.
  public enum Values {
    case full(HostMemory)
    case half(HalfMemory)
  }

  public let values: Values
  public let kernelHeight: Int
  public let kernelWidth: Int
  public let inputChannels: Int
  public let outputChannels: Int
  let form: TileForm

  private var panels: MatrixPanels?
  private var phases: [ConvolutionPhase: MatrixPanels] = [:]
  private var forwardWinograd: [WinogradForm: WinogradPanels] = [:]
  private var gradientWinograd: WinogradPanels?

  public init(
    _ values: Values, kernelHeight: Int, kernelWidth: Int, inputChannels: Int,
    outputChannels: Int, form: TileForm = .native
  ) {
    self.values = values
    self.kernelHeight = kernelHeight
    self.kernelWidth = kernelWidth
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.form = form
  }

  func forwardPanels() -> MatrixPanels {
    if let panels { return panels }
    let made = MatrixPanels(forwardSource)
    if keepsPanels { panels = made }
    return made
  }

  func gradientPanels(_ phase: ConvolutionPhase) -> MatrixPanels {
    if let made = phases[phase] { return made }
    let made = MatrixPanels(gradientSource(phase))
    if keepsPanels { phases[phase] = made }
    return made
  }

  /// Panels take twice the memory of half-precision weights.
  private var keepsPanels: Bool {
    switch values {
    case .full: true
    case .half: false
    }
  }

  /// Returns the kernel for ``WinogradConvolution``.
  func forwardKernel(_ form: WinogradForm) -> WinogradKernel {
    let source = forwardSource
    guard WinogradPanels.isSmall(source) else { return .made(from: source) }
    let panels = forwardWinograd[form] ?? WinogradPanels(source, form)
    forwardWinograd[form] = panels
    return .kept(panels)
  }

  /// Returns the same for the gradient of its input.
  func gradientKernel() -> WinogradKernel {
    let source = gradientSource(ConvolutionPhase(stride: 1, y: 0, x: 0))
    guard WinogradPanels.isSmall(source) else { return .made(from: source) }
    let panels = gradientWinograd ?? WinogradPanels(source, .plain)
    gradientWinograd = panels
    return .kept(panels)
  }

  /// All weights as `[kernelHeight * kernelWidth * inputChannels, outputChannels]`.
  private var forwardSource: PanelSource {
    PanelSource(
      form, panelValues, rows: kernelHeight * kernelWidth * inputChannels, columns: outputChannels,
      columnStride: 1
    ) { [outputChannels] row in row * outputChannels }
  }

  private var panelValues: PanelValues {
    switch values {
    case .full(let storage): .full(storage.pointer)
    case .half(let storage): .half(storage)
    }
  }

  /// The part of the kernel that reaches the input pixels of one phase, flipped and transposed.
  ///
  /// `[phase.taps.height * phase.taps.width * outputChannels, inputChannels]`
  private func gradientSource(_ phase: ConvolutionPhase) -> PanelSource {
    let taps = phase.taps(kernelHeight, kernelWidth)
    return PanelSource(
      form, panelValues, rows: taps.height * taps.width * outputChannels, columns: inputChannels,
      columnStride: outputChannels, neighbours: outputChannels
    ) { [kernelWidth, inputChannels, outputChannels] row in
      let (tap, output) = row.quotientAndRemainder(dividingBy: outputChannels)
      let (j, i) = tap.quotientAndRemainder(dividingBy: taps.width)
      let y = phase.y + phase.stride * (taps.height - 1 - j)
      let x = phase.x + phase.stride * (taps.width - 1 - i)
      return (y * kernelWidth + x) * inputChannels * outputChannels + output
    }
  }
}

/// The padded input pixels whose coordinates have the remainders `(y, x)` modulo the stride.
///
/// Kernel elements with other remainders never touch them, so a strided convolution's input gradient is
/// an ordinary convolution for each phase.
struct ConvolutionPhase: Hashable {
  let stride: Int
  let y: Int
  let x: Int

  /// Returns the number of kernel rows and columns that reach the phase.
  func taps(_ kernelHeight: Int, _ kernelWidth: Int) -> (height: Int, width: Int) {
    (
      max(0, (kernelHeight - y + stride - 1) / stride),
      max(0, (kernelWidth - x + stride - 1) / stride)
    )
  }
}
