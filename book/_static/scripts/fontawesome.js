// Empty on purpose. The theme's own file of this name (0.5 MB compressed) draws its icons as SVG;
// the icon font in the theme's style sheet, which every page loads anyway, draws them as well.
